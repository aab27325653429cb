"""What a person types to get a token."""

from collections.abc import Sequence
from typing import Any

from django import forms

from medstack.actions.tokens import ALLOWED
from medstack.models import AccessToken, Membership

LIFETIMES = ((30, "30 days"), (90, "90 days"), (180, "180 days"), (365, "A year"))


class TokenForm(forms.Form):
    """A token's name, company, role and lifetime."""

    name = forms.CharField(
        max_length=60,
        help_text="What will use it, such as “deploy from CI”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    company = forms.ChoiceField()
    role = forms.ChoiceField(
        choices=AccessToken.Role.choices,
        initial=AccessToken.Role.AUDITOR,
        help_text="An Auditor only reads; an Operator may also change things.",
    )
    days = forms.TypedChoiceField(label="Valid for", choices=LIFETIMES, coerce=int, initial=90)

    def __init__(self, data: Any = None, *, memberships: Sequence[Membership]) -> None:
        super().__init__(data)
        self.memberships = {str(one.company_id): one for one in memberships}
        company = self.fields["company"]
        assert isinstance(company, forms.ChoiceField)
        company.choices = [(key, one.company.name) for key, one in self.memberships.items()]
        if len(self.memberships) == 1:
            company.widget = forms.HiddenInput()
            self.initial["company"] = next(iter(self.memberships))

    def clean(self) -> dict[str, Any]:
        """Refuse more than the person may do themselves."""
        cleaned = super().clean() or {}
        membership = self.memberships.get(str(cleaned.get("company")))
        role = cleaned.get("role")
        if membership and role and role not in ALLOWED[Membership.Role(membership.role)]:
            self.add_error("role", "A token cannot do more than you may do yourself.")
        return cleaned
