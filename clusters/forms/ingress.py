"""What a person types to deploy the load balancer or to upload a certificate."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from clusters.forms.fields import KeyValueField, LinesField, WriteOnlyTextarea
from clusters.image_check import problem_with
from clusters.images import InvalidReference, parse
from clusters.ingress import balancer, certificates, dns_challenge, lookups
from clusters.ingress.domains import shown
from clusters.models import Certificate, Cluster, DomainMapping, LoadBalancer, Node
from clusters.names import variable
from clusters.preflight import engine_number
from medstack.forms.sections import section

PEM = forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off"})
DIRECTORIES = (
    ("https://acme-v02.api.letsencrypt.org/directory", "Let's Encrypt"),
    ("https://acme-staging-v02.api.letsencrypt.org/directory", "Let's Encrypt, staging (to test)"),
    ("", "Another directory"),
)
PROVIDERS = (
    ("", "None: a wildcard needs an uploaded certificate"),
    *((code, provider.title) for code, provider in dns_challenge.PROVIDERS.items()),
)


class LoadBalancerForm(forms.ModelForm[LoadBalancer]):
    """The load balancer of a cluster."""

    directory = forms.ChoiceField(
        label="Certificates from",
        required=False,
        choices=DIRECTORIES,
    )
    acme_directory = forms.CharField(
        label="URL of another ACME directory", required=False, max_length=255
    )
    dns_provider = forms.ChoiceField(
        label="DNS provider",
        required=False,
        choices=PROVIDERS,
        help_text="Proves to the ACME directory that a wildcard is yours.",
    )
    dns_credentials = KeyValueField(
        label="Its credentials",
        required=False,
        key=variable,
        widget=WriteOnlyTextarea(attrs={"rows": 4}),
        help_text=(
            "NAME=value, one a line, with the names of the provider's page at "
            "go-acme.github.io/lego/dns. Kept as Swarm secrets and never shown again; left empty, "
            "the former ones stay."
        ),
    )
    dns_servers = LinesField(
        label="Name servers that see the proof",
        required=False,
        item=dns_challenge.server,
        help_text=(
            "Only where this network has name servers of its own: their addresses, one a line."
        ),
    )

    class Meta:
        model = LoadBalancer
        fields = (
            "node",
            "address",
            "email",
            "directory",
            "acme_directory",
            "acme_ca",
            "issuer_ca",
            "challenge",
            "ciphers",
            "image",
            "socket_image",
            "dns_provider",
        )
        widgets = {"acme_ca": PEM, "issuer_ca": PEM}

    def __init__(self, data: Any = None, *, instance: LoadBalancer) -> None:
        super().__init__(data, instance=instance)
        self.cluster: Cluster = instance.cluster
        managers = (
            Node.objects.present()
            .filter(cluster=self.cluster, role=Node.Role.MANAGER)
            .exclude(swarm_node_id="")
        )
        node = self.fields["node"]
        assert isinstance(node, forms.ModelChoiceField)
        node.queryset = managers
        node.empty_label = None
        node.help_text = "The manager that has the public address; ports 80 and 443 open there."
        first = managers.first()
        if first and not instance.pk:
            self.initial["node"], self.initial["address"] = first.pk, first.address
        self.initial["dns_servers"] = instance.dns_servers.split()
        known = dict(DIRECTORIES)
        self.initial.setdefault("directory", DIRECTORIES[0][0])
        if instance.pk:
            other = instance.acme_directory not in known
            self.initial["directory"] = "" if other else instance.acme_directory
            self.initial["acme_directory"] = instance.acme_directory if other else ""
        self.fields[
            "acme_ca"
        ].help_text = "Only for a directory whose own certificate no public authority signed (PEM)."
        self.fields["issuer_ca"].help_text = (
            "Only for a directory of your own: the root that signs its certificates (PEM), so "
            "that they count as valid when the domains are checked."
        )

    @property
    def sections(self) -> list[dict[str, Any]]:
        """Return the fields in groups."""
        groups = (
            ("Place", ("node", "address"), False),
            ("Certificates", ("email", "directory", "challenge"), False),
            ("Another ACME directory", ("acme_directory", "acme_ca", "issuer_ca"), True),
            (
                "DNS challenge, for wildcards",
                ("dns_provider", "dns_credentials", "dns_servers"),
                True,
            ),
            ("Ciphers", ("ciphers",), False),
            ("Images", ("image", "socket_image"), True),
        )
        return [
            section(
                self,
                title,
                names,
                collapsed=(collapsed and not any(self[name].value() for name in names))
                or title == "Images",
            )
            for title, names, collapsed in groups
        ]

    def clean_image(self) -> str:
        """Return the image; an older Traefik does not start with the options that it is given."""
        image = str(self.cleaned_data["image"])
        try:
            reference = parse(image)
        except InvalidReference as error:
            raise ValidationError(str(error)) from None
        version = engine_number(reference.tag or "")
        exact = (reference.tag or "").count(".") == 2
        oldest = balancer.OLDEST_TRAEFIK
        if any(version) and version < (oldest if exact else (*oldest[:2], 0)):
            needed = ".".join(map(str, oldest))
            raise ValidationError(f"Traefik {needed} or newer is needed.")
        if problem := problem_with(self.cluster, image):
            raise ValidationError(problem)
        return image

    def clean(self) -> dict[str, Any]:
        """Ask the directory whether it is one, within the time that a page may take."""
        cleaned = super().clean() or {}
        url = cleaned.get("directory") or cleaned.get("acme_directory") or ""
        if not url:
            self.add_error("acme_directory", "Choose a directory, or type the URL of another one.")
            return cleaned
        cleaned["acme_directory"] = self.instance.acme_directory = url
        own = not cleaned.get("directory")
        if own:
            problem = lookups.directory_problem(
                url,
                ca_pem=cleaned.get("acme_ca", ""),
                timeout=2.0,
                allow_private=settings.PRIVATE_ACME,
                server=settings.DNS_SERVER,
            )
            if problem:
                self.add_error("acme_directory", problem)
        self.clean_dns_challenge(cleaned)
        return cleaned

    def clean_dns_challenge(self, cleaned: dict[str, Any]) -> None:
        """Check that the provider has what it needs, and that no wildcard is left without one."""
        row, provider = self.instance, cleaned.get("dns_provider", "")
        credentials = cleaned.get("dns_credentials")
        if credentials is None:
            return
        kept = row.dns_variables if provider == row.dns_provider else []
        variables = sorted(credentials or kept)
        if not provider:
            if credentials:
                self.add_error("dns_provider", "Choose the provider that these are for.")
            if lost := proven_by_dns(row) if row.dns_provider else []:
                self.add_error("dns_provider", f"Still mapped: {', '.join(lost)}.")
            variables = []
        elif problem := dns_challenge.credentials_problem(provider, variables):
            self.add_error("dns_credentials", problem)
        row.dns_variables = variables
        row.dns_servers = "\n".join(cleaned.get("dns_servers") or [])


def proven_by_dns(row: LoadBalancer) -> list[str]:
    """Return the mapped wildcards that no uploaded certificate covers."""
    uploaded = list(Certificate.objects.filter(cluster=row.cluster))
    mapped = DomainMapping.objects.present().filter(service__cluster=row.cluster)
    return [
        shown(one.domain)
        for one in mapped.filter(domain__startswith="*.")
        if not any(certificate.is_good_for(one.domain) for certificate in uploaded)
    ]


class CertificateForm(forms.Form):
    """A certificate of the company's own."""

    name = forms.RegexField(
        r"^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$",
        help_text="What to call it: lower-case letters, digits and hyphens.",
        error_messages={"invalid": "Use lower-case letters, digits and hyphens."},
    )
    chain = forms.CharField(
        label="Certificate chain (PEM)", widget=PEM, help_text="The leaf and its intermediates."
    )
    key = forms.CharField(
        label="Private key (PEM)",
        widget=WriteOnlyTextarea(attrs={"rows": 6, "autocomplete": "off"}),
        help_text="Kept as a Swarm secret and never shown again.",
    )

    def clean(self) -> dict[str, Any]:
        """Check that chain and key are a pair that is good today."""
        cleaned = super().clean() or {}
        if "chain" in cleaned and "key" in cleaned:
            try:
                cleaned["pair"] = certificates.check_pair(
                    cleaned["chain"], cleaned["key"], now=timezone.now()
                )
            except certificates.InvalidCertificate as error:
                self.add_error(error.field, error.message)
        return cleaned
