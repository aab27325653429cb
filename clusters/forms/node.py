"""What a person types to label or remove a node."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clusters import names
from clusters.forms.confirmation import ConfirmationForm


class LabelsForm(forms.Form):
    """Labels, one `key=value` a line."""

    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        help_text="One key=value a line. Constraints use them as node.labels.key == value.",
    )

    def __init__(self, data: Any = None, *, labels: dict[str, str]) -> None:
        super().__init__(data)
        lines = (f"{key}={value}" for key, value in sorted(labels.items()))
        self.fields["labels"].initial = "\n".join(lines)

    def clean_labels(self) -> dict[str, str]:
        """Return the labels as keys and values."""
        labels: dict[str, str] = {}
        for line in str(self.cleaned_data["labels"]).splitlines():
            if not line.strip():
                continue
            key, equals, value = line.strip().partition("=")
            if not equals:
                raise ValidationError(f"“{line.strip()}” has no “=”. Write key=value.")
            if key in labels:
                raise ValidationError(f"“{key}” stands here twice.")
            labels[names.node_label_key(key)] = names.node_label_value(value)
        return labels


class RemoveForm(ConfirmationForm):
    """The node's name, typed, and whether to go on without its answer."""

    noun, verb = "node", "remove"

    force = forms.BooleanField(
        required=False,
        label="Remove it even if it does not answer",
        help_text="A node that is lost for good cannot leave by itself.",
    )
