"""What a person types to create a cluster or a node."""

import os
import re
from ipaddress import IPv4Address
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from clusters import engine
from clusters.engine import Endpoint
from clusters.forms.fields import WriteOnlyTextarea
from clusters.models import Cluster, Node
from clusters.page_reads import ask
from medstack.forms.sections import section
from medstack.models import Company

HOST_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
NOT_OPEN = (
    "Engines on the console's own machine can only be attached where whoever runs the console "
    "allows it (MEDSTACK_UNIX_ENDPOINTS)."
)


def is_open(path: str) -> bool:
    """Say whether a socket of this machine may be attached.

    Whoever has an Engine of this machine is root on it, and the sockets of other companies' local
    nodes are here, too.
    """
    real = os.path.realpath(path)
    allowed = (os.path.realpath(one).rstrip("/") for one in settings.UNIX_ENDPOINTS)
    return any(real == one or real.startswith(f"{one}/") for one in allowed)


class ClusterForm(forms.Form):
    """A new cluster."""

    name = forms.CharField(max_length=63, help_text="Such as “production” or “staging”.")
    company = forms.ModelChoiceField(Company.objects.none(), empty_label=None)

    def __init__(self, data: Any = None, *, companies: QuerySet[Company]) -> None:
        super().__init__(data)
        company = self.fields["company"]
        assert isinstance(company, forms.ModelChoiceField)
        company.queryset = companies
        company.initial = companies.first()
        if companies.count() == 1:
            company.widget = company.hidden_widget()
        if settings.LAB_PLAIN_NETWORK:
            self.fields["lab_plain_network"] = forms.BooleanField(
                required=False,
                label="Lab: do not encrypt the internal network",
                help_text="Only to try things out on a kernel without ESP. Not compliant.",
            )

    def clean(self) -> dict[str, Any]:
        """Refuse a second cluster of the same name in a company."""
        cleaned = super().clean() or {}
        name, company = cleaned.get("name"), cleaned.get("company")
        if name and company and Cluster.objects.filter(company=company, name=name).exists():
            self.add_error("name", f"{company} has a cluster named “{name}” already.")
        return cleaned


class NodeForm(forms.Form):
    """What every new node needs, whoever provides it."""

    name = forms.CharField(
        max_length=63,
        help_text="Its host name in the cluster: lower-case letters, digits, hyphens.",
    )
    role = forms.ChoiceField(
        choices=[(Node.Role.WORKER, "Worker"), (Node.Role.MANAGER, "Manager")],
        help_text="The first node is always a manager.",
    )

    def __init__(self, data: Any = None, *, cluster: Cluster) -> None:
        super().__init__(data)
        self.cluster = cluster
        self.present = Node.objects.present().filter(cluster=cluster)
        if not self.present.exists():
            del self.fields["role"]
        else:
            self.fields["role"].initial = Node.Role.WORKER

    def clean_name(self) -> str:
        """Refuse what is no host name, or is taken in this cluster."""
        name = str(self.cleaned_data["name"]).strip()
        if name == "new" or not HOST_NAME.match(name):
            raise ValidationError("Use lower-case letters, digits and hyphens, such as “node-1”.")
        if self.present.filter(name=name).exists():
            raise ValidationError(f"This cluster has a node named “{name}” already.")
        return name

    def node(self) -> Node:
        """Return the node that is wanted; it is not saved yet."""
        role = self.cleaned_data.get("role") or Node.Role.MANAGER
        return Node(
            cluster=self.cluster,
            name=self.cleaned_data["name"],
            provider=Node.Provider.LOCAL,
            role=role,
        )


class AttachForm(NodeForm):
    """An Engine that already runs: where it listens, and what is needed to be let in."""

    endpoint_url = forms.CharField(
        label="Endpoint",
        max_length=255,
        help_text="ssh://user@host or tcp://host:2376; unix:///var/run/docker.sock for an Engine "
        "beside the console, where whoever runs the console allows it.",
    )
    address = forms.GenericIPAddressField(
        label="Address",
        protocol="IPv4",
        help_text="The address by which the other nodes reach this one (port 2377, 7946, 4789).",
    )
    ssh_key = forms.CharField(
        label="SSH private key",
        required=False,
        widget=WriteOnlyTextarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
        help_text="For ssh:// only. Stored encrypted and never shown again.",
    )
    ssh_host_key = forms.CharField(
        label="SSH host key",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="The line in the host's /etc/ssh/ssh_host_ed25519_key.pub. No other is accepted.",
    )
    tls_ca = forms.CharField(
        label="Certificate authority (PEM)",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="For tcp:// only: who signed the Engine's certificate.",
    )
    tls_cert = forms.CharField(
        label="Client certificate (PEM)",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    tls_key = forms.CharField(
        label="Client key (PEM)",
        required=False,
        widget=WriteOnlyTextarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
        help_text="Stored encrypted and never shown again.",
    )
    adopt = forms.BooleanField(
        label="Take over the swarm that it manages",
        required=False,
        help_text="For an Engine that is a manager already. What runs there stays as it is.",
    )
    NEEDED = {
        "ssh": {
            "ssh_key": "An SSH private key is needed for ssh://.",
            "ssh_host_key": "The host key is needed for ssh://: nothing else proves the host.",
        },
        "tcp": {
            "tls_ca": "A certificate authority is needed for tcp://.",
            "tls_cert": "A client certificate is needed for tcp://.",
            "tls_key": "The client certificate's key is needed for tcp://.",
        },
    }

    def __init__(self, data: Any = None, *, cluster: Cluster) -> None:
        super().__init__(data, cluster=cluster)
        if self.present.exists():
            del self.fields["adopt"]

    @property
    def sections(self) -> list[dict[str, Any]]:
        """Return the fields in groups; the credentials open by themselves when in error."""
        scheme = str(self.data.get("endpoint_url", "")).partition(":")[0]
        basics = [
            self[name]
            for name in ("name", "role", "endpoint_url", "address", "adopt")
            if name in self.fields
        ]
        ssh, tls = ("ssh_key", "ssh_host_key"), ("tls_ca", "tls_cert", "tls_key")
        return [
            {"title": "Engine", "fields": basics, "collapsed": False},
            section(self, "SSH", ssh, collapsed=scheme != "ssh"),
            section(self, "TLS", tls, collapsed=scheme != "tcp"),
        ]

    def clean_address(self) -> str:
        """Refuse an address by which no other node could ever reach this one."""
        address = IPv4Address(self.cleaned_data["address"])
        if (
            address.is_loopback
            or address.is_unspecified
            or address.is_multicast
            or address.is_reserved
        ):
            raise ValidationError("The other nodes cannot reach this one by that address.")
        return str(address)

    def clean(self) -> dict[str, Any]:
        """Test the connection: what is saved has answered as an Engine that can join."""
        cleaned = super().clean() or {}
        url = cleaned.get("endpoint_url")
        if not url:
            return cleaned
        scheme = url.partition("://")[0]
        for name, message in self.NEEDED.get(scheme, {}).items():
            if not cleaned.get(name):
                self.add_error(name, message)
        if scheme == "unix" and not is_open(url.removeprefix("unix://")):
            self.add_error("endpoint_url", NOT_OPEN)
        if Node.objects.present().filter(endpoint_url=url).exists():
            self.add_error("endpoint_url", "This Engine is a node already.")
        if not self.errors:
            self.test_connection(cleaned)
        return cleaned

    def test_connection(self, cleaned: dict[str, Any]) -> None:
        """Ask the Engine who it is; say at the field why it cannot be a node."""
        try:
            info = ask(self.endpoint(cleaned), engine.Engine.info)
        except (engine.EngineError, ValueError) as error:
            self.add_error("endpoint_url", str(error))
            return
        reason = self.foreign(info.get("Swarm") or {}, adopt=bool(cleaned.get("adopt")))
        if reason:
            self.add_error("adopt" if cleaned.get("adopt") else "endpoint_url", reason)

    def foreign(self, swarm: dict[str, Any], *, adopt: bool) -> str:
        """Return why the swarm that an Engine is in keeps it from being a node here, or nothing."""
        is_manager, found = swarm.get("ControlAvailable"), (swarm.get("Cluster") or {}).get("ID")
        if swarm.get("LocalNodeState", "inactive") == "inactive":
            return "This Engine manages no swarm that could be taken over." if adopt else ""
        if adopt and not is_manager:
            return "Only a manager can hand its swarm over, and this Engine is none."
        if adopt and Cluster.objects.filter(swarm_id=found).exists():
            return "This swarm is a cluster already."
        ours = self.cluster.swarm_id
        remotes = swarm.get("RemoteManagers") or ()
        managers = {remote["Addr"].rpartition(":")[0] for remote in remotes}
        # A worker does not know its swarm's name; the operation asks a manager about it.
        if adopt or (ours and (found == ours if is_manager else managers & self.addresses())):
            return ""
        return (
            "This Engine already belongs to a swarm. Let it leave that swarm first "
            "(docker swarm leave)."
        )

    def addresses(self) -> set[str]:
        """Return the addresses of the nodes that the cluster has."""
        return {str(node.address) for node in self.present}

    def endpoint(self, cleaned: dict[str, Any]) -> Endpoint:
        """Return the endpoint as typed."""
        return Endpoint(
            cleaned["endpoint_url"],
            **{
                name: cleaned.get(name, "")
                for name in ("ssh_key", "ssh_host_key", "tls_ca", "tls_cert", "tls_key")
            },
        )

    def node(self) -> Node:
        """Return the node that is wanted, with its endpoint; it is not saved yet."""
        node = super().node()
        node.provider = Node.Provider.ATTACH
        for name in (
            "endpoint_url",
            "address",
            "ssh_key",
            "ssh_host_key",
            "tls_ca",
            "tls_cert",
            "tls_key",
        ):
            setattr(node, name, self.cleaned_data[name])
        return node
