"""What an operator decides about the backups of a volume, and who is warned."""

from typing import Any

from django import forms

from backups.models import VolumePolicy

MOST_RECIPIENTS = 3


class PolicyForm(forms.ModelForm[VolumePolicy]):
    """How one volume is handled."""

    is_excluded = forms.BooleanField(label="Leave this volume out of the backups", required=False)

    class Meta:
        model = VolumePolicy
        fields = (
            "is_excluded",
            "excluded_reason",
            "before_command",
            "after_command",
            "freeze",
            "stop",
        )
        labels = {
            "excluded_reason": "Why it is left out",
            "before_command": "Command before the backup",
            "after_command": "Command after the backup",
            "freeze": "Freeze the containers that use it while it is read",
            "stop": "Stop the services that use it while it is read",
        }
        help_texts = {
            "excluded_reason": "Auditors read it in every evidence report.",
            "before_command": "Runs with sh in a container that uses the volume, for example a "
            "database dump. If it fails, the backup of this volume fails.",
            "after_command": "Runs in the same container afterwards, whatever happened.",
            "freeze": "Nothing is written meanwhile; the containers go on by themselves.",
            "stop": "Every hour, until it is read; they are started again whatever happens. For "
            "services with a number of replicas; others are named and the backup fails.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["is_excluded"].initial = bool(self.instance.excluded_reason)

    def clean(self) -> dict[str, Any]:
        """Ask for a reason where a volume is left out, and drop it where it is not."""
        values = super().clean() or {}
        if not values.get("is_excluded"):
            values["excluded_reason"] = ""
        elif not values.get("excluded_reason"):
            self.add_error("excluded_reason", "Say why the volume is left out.")
        if values.get("stop") and values.get("freeze"):
            self.add_error("stop", "What is frozen cannot be stopped: choose one of them.")
        if values.get("stop") and (values.get("before_command") or values.get("after_command")):
            self.add_error("stop", "What is stopped runs no command: choose one of them.")
        return values


class RecipientsForm(forms.Form):
    """Up to three addresses."""

    addresses = forms.CharField(
        label="Who is warned",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Up to three e-mail addresses, one a line.",
    )

    def clean_addresses(self) -> list[str]:
        """Return the addresses; say which one is none."""
        lines = [one.strip() for one in str(self.cleaned_data["addresses"]).splitlines()]
        found = list(dict.fromkeys(filter(None, lines)))
        if len(found) > MOST_RECIPIENTS:
            raise forms.ValidationError("At most three addresses are possible.")
        for one in found:
            try:
                forms.EmailField().clean(one)
            except forms.ValidationError:
                raise forms.ValidationError(f"“{one}” is not an e-mail address.") from None
        return found
