"""Where a volume is restored to."""

from typing import Any

from django import forms
from django.utils import timezone

from backups.models import Restore, VolumeBackup
from clusters.models import Node, Volume
from clusters.names import VOLUME

MODES = [
    (Restore.Mode.NEW, "As a new volume"),
    (Restore.Mode.OVER, "Over an existing volume; a safety snapshot is taken first"),
]


class RestoreForm(forms.Form):
    """A node of any cluster of the company, the volume's name, and whether it may exist."""

    node = forms.ModelChoiceField(Node.objects.none(), empty_label=None)
    mode = forms.ChoiceField(label="How", choices=MODES, widget=forms.RadioSelect)
    name = forms.CharField(label="Name of the volume", max_length=255)
    confirmation = forms.CharField(
        required=False,
        help_text="To restore over an existing volume, type its name once more.",
    )

    def __init__(self, *args: Any, backup: VolumeBackup, **kwargs: Any) -> None:
        nodes = Node.objects.present().filter(cluster__company=backup.cluster.company)
        nodes = nodes.exclude(swarm_node_id="").select_related("cluster")
        initial = {
            "node": nodes.filter(cluster=backup.cluster, name=backup.node_name).first(),
            "mode": Restore.Mode.NEW,
            "name": f"{backup.volume_name[:230]}-restored-{timezone.now():%Y%m%d-%H%M}",
        }
        super().__init__(*args, **kwargs)
        self.initial = initial
        field = self.fields["node"]
        field.queryset = nodes.order_by("cluster__name", "name")  # type: ignore[attr-defined]
        field.label_from_instance = lambda node: f"{node.name} ({node.cluster.name})"  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        """Refuse what the Engine would not take for a volume's name."""
        name = str(self.cleaned_data["name"])
        if not VOLUME.fullmatch(name):
            raise forms.ValidationError(
                "A volume's name has letters, digits, points, dashes and underscores, the first "
                "a letter or digit."
            )
        return name

    def clean(self) -> dict[str, Any]:
        """Let nothing be overwritten by accident."""
        values = super().clean() or {}
        node, name = values.get("node"), values.get("name")
        if not node or not name or not values.get("mode"):
            return values
        exists = Volume.objects.present().filter(node=node, name=name).exists()
        if values["mode"] == Restore.Mode.NEW and exists:
            self.add_error("name", f"{node.name} has a volume of this name already.")
        if values["mode"] == Restore.Mode.OVER:
            if not exists:
                self.add_error("name", f"{node.name} has no volume of this name.")
            elif values.get("confirmation") != name:
                self.add_error("confirmation", f"Type {name} to overwrite it.")
        return values
