"""What is typed about people."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password

from medstack.models import Company, Membership, User

ROLES = {
    Membership.Role.OWNER: "Owner: everything, people and subscription included",
    Membership.Role.OPERATOR: "Operator: runs clusters, services and backups",
    Membership.Role.AUDITOR: "Auditor: reads, and downloads evidence",
    Membership.Role.BILLING: "Billing: sees the state of the subscription",
}


class InvitationForm(forms.Form):
    """Whom to invite, and as what."""

    company = forms.ModelChoiceField(Company.objects.none(), empty_label=None)
    email = forms.EmailField(label="E-mail address", max_length=254)
    role = forms.ChoiceField(choices=list(ROLES.items()), initial=Membership.Role.OPERATOR)

    def __init__(self, *args: Any, companies: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["company"].queryset = companies  # type: ignore[attr-defined]

    def clean_email(self) -> str:
        """Compare addresses in one case only."""
        return str(self.cleaned_data["email"]).lower()


class RoleForm(forms.Form):
    """A member's role."""

    role = forms.ChoiceField(choices=list(ROLES.items()))


class AcceptForm(forms.Form):
    """The name and password of somebody new."""

    name = forms.CharField(label="Your name", max_length=150)
    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )
    again = forms.CharField(
        label="The same once more",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean_password(self) -> str:
        """Refuse what is guessed too easily."""
        password = str(self.cleaned_data["password"])
        validate_password(password, User(email=self.email, name=self.data.get("name", "")))
        return password

    def clean(self) -> dict[str, Any]:
        """Catch a slip of the fingers."""
        values = super().clean() or {}
        if values.get("password") and values.get("again") != values["password"]:
            self.add_error("again", "The two are not the same.")
        return values
