"""What a person types to create a volume, or to delete one with its data."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clusters import names
from clusters.forms.confirmation import ConfirmationForm
from clusters.models import Cluster, Node, Volume
from medstack.forms.sections import section

SERVER = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$")
MOUNT_OPTIONS = re.compile(r"^[a-z0-9_]+(=[A-Za-z0-9_.:/-]+)?(,[a-z0-9_]+(=[A-Za-z0-9_.:/-]+)?)*$")
SIZE = re.compile(r"^[1-9][0-9]*[kmg]?$")
KINDS = (
    ("local", "On the node's own disk"),
    ("nfs", "NFS: a share of a file server"),
    ("tmpfs", "tmpfs: in the node's memory, empty after each restart"),
)
NFS = ("nfs_server", "nfs_path", "nfs_options")
TMPFS = ("tmpfs_size", "tmpfs_uid")


class VolumeForm(forms.Form):
    """A new volume of one node."""

    name = forms.CharField(max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    node = forms.ModelChoiceField(
        Node.objects.none(),
        empty_label="Choose a node",
        help_text="The data lives there; a service that mounts it runs there.",
    )
    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect, initial="local")
    nfs_server = forms.CharField(
        label="Server", required=False, help_text="Its name or address, such as nfs.example.com."
    )
    nfs_path = forms.CharField(
        label="Path", required=False, help_text="What it exports, such as /exports/images."
    )
    nfs_options = forms.CharField(
        label="Mount options",
        required=False,
        initial="rw,nfsvers=4",
        help_text="Separated by commas.",
    )
    tmpfs_size = forms.CharField(
        label="Size", required=False, initial="64m", help_text="Such as 64m or 1g."
    )
    tmpfs_uid = forms.IntegerField(
        label="Owner (user id)",
        required=False,
        min_value=0,
        max_value=2**32 - 2,
        help_text="Empty: root.",
    )
    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One key=value a line.",
    )

    def __init__(self, data: Any = None, *, cluster: Cluster) -> None:
        super().__init__(data)
        node = self.fields["node"]
        assert isinstance(node, forms.ModelChoiceField)
        present = Node.objects.present().filter(cluster=cluster)
        ready = [row.pk for row in present if row.status == "Ready"]
        node.queryset = present.filter(pk__in=ready)
        if len(ready) == 1:
            node.initial = ready[0]

    @property
    def sections(self) -> list[dict[str, Any]]:
        """Return the fields in groups; those of a kind open when it is chosen or in error."""
        kind = self.data.get("kind") if self.is_bound else "local"
        return [
            {"title": "Volume", "fields": [self["name"], self["node"], self["kind"]]},
            section(self, "NFS share", NFS, note="for the kind NFS", collapsed=kind != "nfs"),
            section(self, "Memory", TMPFS, note="for the kind tmpfs", collapsed=kind != "tmpfs"),
            section(self, "Labels", ("labels",), note="optional", collapsed=True),
        ]

    def clean_name(self) -> str:
        """Refuse what Docker refuses."""
        return names.volume(self.cleaned_data["name"])

    def clean_labels(self) -> dict[str, str]:
        """Return the labels as keys and values."""
        labels: dict[str, str] = {}
        for line in str(self.cleaned_data["labels"]).splitlines():
            if not line.strip():
                continue
            key, equals, value = line.strip().partition("=")
            if not equals:
                raise ValidationError(f"“{line.strip()}” has no “=”. Write key=value.")
            if key.strip() in labels:
                raise ValidationError(f"“{key.strip()}” stands here twice.")
            labels[names.service_label_key(key)] = value.strip()
        return labels

    def clean(self) -> dict[str, Any]:
        """Check the fields of the chosen kind, and that the node has no such volume."""
        cleaned = super().clean() or {}
        node, name = cleaned.get("node"), cleaned.get("name")
        if node and name and Volume.objects.present().filter(node=node, name=name).exists():
            self.add_error("name", f"{node} has a volume named “{name}” already.")
        if cleaned.get("kind") == "nfs":
            self.check_nfs(cleaned)
        elif cleaned.get("kind") == "tmpfs" and not SIZE.match(cleaned.get("tmpfs_size", "")):
            self.add_error("tmpfs_size", "Give a size such as 64m or 1g.")
        return cleaned

    def check_nfs(self, cleaned: dict[str, Any]) -> None:
        """Refuse what the kernel would take for something else, or only refuse at the mount."""
        if not SERVER.match(cleaned.get("nfs_server", "")):
            self.add_error("nfs_server", "Give the server's name or address, nothing else.")
        path = cleaned.get("nfs_path", "")
        if not path.startswith("/") or re.search(r"\s", path):
            self.add_error("nfs_path", "Give the exported path; it begins with “/”.")
        options = cleaned.get("nfs_options", "")
        if options and not MOUNT_OPTIONS.match(options):
            self.add_error("nfs_options", "Separate options by commas, such as rw,nfsvers=4.")

    def driver_options(self) -> dict[str, str]:
        """Return the options of the driver “local” that make the volume of this kind."""
        cleaned = self.cleaned_data
        if cleaned["kind"] == "nfs":
            mount = [f"addr={cleaned['nfs_server']}", cleaned["nfs_options"] or "rw"]
            device = f":{cleaned['nfs_path']}"
            return {"type": "nfs", "o": ",".join(mount), "device": device}
        if cleaned["kind"] == "tmpfs":
            mount = [f"size={cleaned['tmpfs_size']}"]
            if cleaned["tmpfs_uid"] is not None:
                mount.append(f"uid={cleaned['tmpfs_uid']}")
            return {"type": "tmpfs", "o": ",".join(mount), "device": "tmpfs"}
        return {}


class DeleteForm(ConfirmationForm):
    """The volume's name, typed."""

    noun = "volume"
