"""Where an environment is restored to, and that a person means it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from backups.wanted import OldNode, Place
from clusters.forms.confirmation import ConfirmationForm
from clusters.models import Cluster


class MapForm(forms.Form):
    """The cluster, a new node for each old one that needs one, and the public address."""

    cluster = forms.ChoiceField(
        label="Restore to the cluster", help_text="It needs at least one node."
    )
    address = forms.GenericIPAddressField(
        protocol="IPv4",
        required=False,
        label="Public address of the load balancer",
        help_text="To which the domains will lead; empty: the address of its new node.",
    )

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        clusters: Sequence[Cluster],
        cluster: Cluster,
        old: Sequence[OldNode],
        places: Sequence[Place],
        suggested: Mapping[str, str],
        has_balancer: bool,
    ) -> None:
        self.old = {f"node-{number}": node for number, node in enumerate(old)}
        names = [place.name for place in places]
        values: dict[str, Any] = {"cluster": cluster.slug, "address": data.get("address", "")}
        for key, node in self.old.items():
            # A node of the cluster that was chosen before is none of this one.
            chosen = data.get(key)
            values[key] = chosen if chosen in names else suggested.get(node.name, "")
        super().__init__(values)
        choices = self.fields["cluster"]
        assert isinstance(choices, forms.ChoiceField)
        choices.choices = [(one.slug, one.name) for one in clusters]
        for key, node in self.old.items():
            self.fields[key] = forms.ChoiceField(
                label=f"In place of {node.name}",
                required=False,
                choices=[("", "Choose a node"), *((name, name) for name in names)],
                help_text=f"It {'; '.join(node.reasons)}.",
            )
        if has_balancer:
            self.fields["address"] = self.fields.pop("address")
        else:
            del self.fields["address"]

    @property
    def nodes(self) -> dict[str, str]:
        """Return the old nodes' names and those of the new ones that were chosen."""
        chosen = {node.name: str(self.data.get(key, "")) for key, node in self.old.items()}
        return {old: new for old, new in chosen.items() if new}


class RestoreForm(ConfirmationForm):
    """The cluster's name, typed, and that what does not come back is known."""

    noun, verb = "cluster", "restore to"

    accept = forms.BooleanField(
        required=False, label="I accept that this does not come back as it was"
    )

    def __init__(self, data: Any = None, *, name: str, warnings: Sequence[str]) -> None:
        super().__init__(data, name=name)
        if warnings:
            self.fields["accept"].required = True
            self.fields["accept"].error_messages["required"] = "Accept the warnings first."
            self.order_fields(["accept", "confirmation"])
        else:
            del self.fields["accept"]
