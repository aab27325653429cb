"""What a person types to let the cluster's services pull from a registry."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clusters import names
from clusters.models import Registry


class RegistryForm(forms.ModelForm[Registry]):
    """A registry's address and credentials; the address of one that exists stays."""

    # It stands outside of Meta.fields: the saved password never becomes an initial value.
    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="A password or an access token. Stored encrypted and never shown again.",
    )

    class Meta:
        model = Registry
        fields = ("address", "username")
        labels = {"username": "User"}
        help_texts = {
            "address": "Host, port and library path, such as registry.example.com/app. "
            "Docker Hub is docker.io.",
            "username": "Leave it empty for a registry that lets everybody in.",
        }
        widgets = {"username": forms.TextInput(attrs={"autocomplete": "off"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["address"]
            self.fields["password"].help_text = "Leave it empty to keep the saved one."

    def clean_address(self) -> str:
        """Refuse what is no registry, or is in this cluster already."""
        address = names.registry_address(self.cleaned_data["address"])
        if Registry.objects.filter(cluster=self.instance.cluster, address=address).exists():
            raise ValidationError(
                f"This cluster has {address} already. Open it to rotate its credentials."
            )
        return address

    def clean(self) -> dict[str, Any]:
        """Set the password: an empty one keeps the saved one, no user means none."""
        cleaned = super().clean() or {}
        username, password = cleaned.get("username", ""), cleaned.get("password", "")
        if password and not username and "username" not in self.errors:
            self.add_error("username", "A password needs a user.")
        if username and not password and not self.instance.password:
            self.add_error("password", f"Give the password of {username}.")
        if password or not username:
            self.instance.password = password
        return cleaned
