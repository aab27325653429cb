"""Ask for a name before something is gone for good."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError


class ConfirmationForm(forms.Form):
    """A name, typed exactly; what has it and what happens to it is the subclass's to say."""

    noun: ClassVar[str]
    verb: ClassVar[str] = "delete"

    confirmation = forms.CharField(
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )

    def __init__(self, data: Any = None, *, name: str) -> None:
        super().__init__(data)
        self.name = name
        self.fields["confirmation"].label = f"Type the {self.noun}'s name to {self.verb} it"

    def clean_confirmation(self) -> str:
        """Accept the exact name only."""
        typed = str(self.cleaned_data["confirmation"]).strip()
        if typed != self.name:
            raise ValidationError(f"Type “{self.name}” to {self.verb} it.")
        return typed
