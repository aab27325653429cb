"""Where a cluster's backups are stored."""

import json
import re
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from django import forms

from backups.models import Repository
from clusters.engine import Refused, Unreachable
from clusters.engine.endpoint import HOST, USER
from clusters.engine.sockets import resolve
from medstack.forms.sections import section

KEY = forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"})
SECRET = forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"})

LOOKUP_SECONDS = 2.0
PREFIXES = {
    Repository.Kind.REST.value: "rest:http",
    Repository.Kind.S3.value: "s3:",
    Repository.Kind.SFTP.value: "sftp://",
}


class RepositoryForm(forms.Form):
    """A storage, the console's credentials for it and the nodes' own, which cannot delete."""

    kind = forms.ChoiceField(choices=Repository.Kind.choices)
    url = forms.CharField(
        label="Address",
        max_length=480,
        required=False,
        help_text="As restic writes it: rest:https://host/path/, s3:https://host/bucket/path or "
        "sftp://user@host:22//path. Leave it empty for the console's own machine.",
    )
    region = forms.CharField(max_length=60, required=False, help_text="S3 only.")
    console_name = forms.CharField(label="Console's user or key ID", required=False)
    console_secret = forms.CharField(
        label="Console's password or secret key", required=False, widget=SECRET, strip=False
    )
    node_url = forms.CharField(
        label="Nodes' own address",
        max_length=480,
        required=False,
        help_text="REST only. Servers are append-only as a whole: run one for the nodes and "
        "another, over the same folder, for the console. Empty: nodes use the address above.",
    )
    node_name = forms.CharField(label="Nodes' user or key ID", required=False)
    node_secret = forms.CharField(
        label="Nodes' password or secret key",
        required=False,
        widget=SECRET,
        strip=False,
        help_text="Credentials that may add and read, but neither delete nor overwrite. That is "
        "tested before anything is stored there.",
    )
    password = forms.CharField(
        label="Password of an existing repository",
        required=False,
        widget=SECRET,
        help_text="Leave it empty for a new one: a password is made.",
    )
    console_key = forms.CharField(label="Console's private key", required=False, widget=KEY)
    node_key = forms.CharField(
        label="Nodes' private key",
        required=False,
        widget=KEY,
        help_text="SFTP only. The server must bind this key to a forced command, rclone serve "
        "restic --stdio --append-only; this page's help has the line of its authorized_keys.",
    )
    host_key = forms.CharField(
        label="Server's host key",
        max_length=1000,
        required=False,
        help_text="SFTP only: kind and key, as in its /etc/ssh/ssh_host_ed25519_key.pub. No other "
        "is accepted.",
    )
    ca = forms.CharField(
        label="Certificate authority",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="PEM, if the storage's certificate is not a public one.",
    )

    @property
    def sections(self) -> list[dict[str, Any]]:
        """Return the fields in groups; what the chosen kind needs is open, and what is in error."""
        kind = self["kind"].value()
        groups = (
            ("Place", "", ("kind", "url", "region", "password"), (kind,)),
            (
                "Credentials",
                "for REST servers and S3",
                ("console_name", "console_secret", "node_url", "node_name", "node_secret"),
                (Repository.Kind.REST, Repository.Kind.S3),
            ),
            ("Keys", "for SFTP", ("console_key", "node_key", "host_key"), (Repository.Kind.SFTP,)),
            ("Certificate", "where it is not a public one", ("ca",), ()),
        )
        is_given = bool(self["ca"].value())
        return [
            section(
                self,
                title,
                names,
                note=note,
                collapsed=kind not in kinds and not (names == ("ca",) and is_given),
            )
            for title, note, names, kinds in groups
        ]

    def clean(self) -> dict[str, Any]:
        """Ask for what the chosen kind needs."""
        values = super().clean() or {}
        kind, url = values.get("kind"), values.get("url", "")
        if not kind:
            return values
        if kind == Repository.Kind.EMBEDDED:
            if url:
                self.add_error("url", "The console's own machine needs no address.")
            return values
        self.check_node_url(str(kind), values.get("node_url", ""))
        prefix = PREFIXES[str(kind)]
        if not url.startswith(prefix):
            self.add_error("url", f"An address of this kind begins with {prefix}.")
        else:
            self.judge("url", url)
        if kind == Repository.Kind.SFTP:
            return self.clean_ssh(values)
        if "@" in url:
            self.add_error("url", "Write the credentials into their own fields.")
        for who in ("console", "node"):
            for part in ("name", "secret"):
                if not values.get(f"{who}_{part}"):
                    self.add_error(f"{who}_{part}", "This is needed here.")
        if values.get("node_name") and values.get("node_name") == values.get("console_name"):
            self.add_error("node_name", "The nodes need credentials of their own.")
        return values

    def check_node_url(self, kind: str, url: str) -> None:
        """Refuse an address of the nodes' own where it would not be used, or is none."""
        if url and kind != Repository.Kind.REST:
            self.add_error("node_url", "Only nodes of a REST server have one.")
        elif url and not url.startswith(PREFIXES[kind]):
            self.add_error("node_url", f"An address of this kind begins with {PREFIXES[kind]}.")
        elif "@" in url:
            self.add_error("node_url", "Write the credentials into their own fields.")
        elif url:
            self.judge("node_url", url)

    def judge(self, field: str, url: str) -> None:
        """Refuse a host that ssh would take for an option, and one that no storage has."""
        bare = url.removeprefix("rest:").removeprefix("s3:")
        try:
            parts = urlsplit(bare if "://" in bare else f"https://{bare}")
            host, port = parts.hostname or "", parts.port or 0
        except ValueError:
            host, port = "", 0
        if not HOST.fullmatch(host):
            self.add_error(field, f"“{host}” is not a valid host.")
            return
        try:
            resolve(host, port, monotonic() + LOOKUP_SECONDS)
        except Refused as error:
            self.add_error(field, str(error))
        except Unreachable:
            # The test that follows says so, in its own words.
            return

    def clean_ssh(self, values: dict[str, Any]) -> dict[str, Any]:
        """Ask for two keys, and for the one host key that is accepted."""
        if not re.fullmatch(
            rf"sftp://{USER.pattern}@[^\s/:]+(:\d+)?//[^\s]+", values.get("url", "")
        ):
            self.add_error("url", "Write it as sftp://user@host:22//path.")
        for name in ("console_key", "node_key", "host_key"):
            if not values.get(name):
                self.add_error(name, "This is needed here.")
        if values.get("node_key") and values.get("node_key") == values.get("console_key"):
            self.add_error("node_key", "The nodes need a key of their own.")
        return values

    def access(self, who: str) -> str:
        """Return the credentials of the console or of the nodes as they are stored."""
        if self.cleaned_data["kind"] == Repository.Kind.SFTP:
            key = str(self.cleaned_data[f"{who}_key"]).replace("\r\n", "\n")
            return json.dumps({"ssh_key": key, "by_command": who == "node"})
        name, secret = (str(self.cleaned_data[f"{who}_{part}"]) for part in ("name", "secret"))
        if self.cleaned_data["kind"] == Repository.Kind.S3:
            return json.dumps({"key_id": name, "secret": secret})
        found = {"username": name, "password": secret}
        if who == "node" and (url := str(self.cleaned_data["node_url"])):
            found["url"] = url
        return json.dumps(found)


class SheetForm(forms.Form):
    """Ask for the cluster's name before a recovery sheet is shown."""

    confirmation = forms.CharField(label="Name of the cluster")

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name

    def clean_confirmation(self) -> str:
        """Refuse anything else."""
        if self.cleaned_data["confirmation"] != self.name:
            raise forms.ValidationError(f"Type {self.name}.")
        return self.name
