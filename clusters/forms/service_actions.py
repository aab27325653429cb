"""What a person types to scale or delete a service."""

from django import forms

from clusters.forms.confirmation import ConfirmationForm

MOST_REPLICAS = 1000


class ScaleForm(forms.Form):
    """The number of replicas."""

    replicas = forms.IntegerField(
        min_value=0,
        max_value=MOST_REPLICAS,
        help_text="0 stops every task and keeps the service.",
    )


class DeleteForm(ConfirmationForm):
    """The service's name, typed."""

    noun = "service"
