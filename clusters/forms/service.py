"""The form to create or change a service."""

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from clusters import names
from clusters.forms import domain_rows
from clusters.forms import service_checks as checks
from clusters.forms.service_choices import ServiceChoices, VolumeChoice
from clusters.forms.service_fields import CAPABILITIES, LOG_DRIVERS, ServiceFields
from clusters.forms.service_rows import ConfigRow, Rows, SecretRow, TmpfsRow, VolumeRow, rows
from clusters.forms.service_sections import Section, sections
from clusters.ingress.routes import of_labels, with_routes
from clusters.spec import DEFAULTS, has_ingress_ports, initial, service_spec, with_network_names
from clusters.spec.defaults import STRATEGIES, STRATEGY, is_job
from clusters.spec.mounts import pin_of

__all__ = ["ServiceChoices", "ServiceForm", "VolumeChoice"]

Json = dict[str, Any]
INTERNAL_NETWORK = "internal"
ROWS = {
    "configs": (ConfigRow, "Configs", "Without a file name, it is the config's.", "Add a config"),
    "secrets": (SecretRow, "Secrets", "Without a file name, it is the secret's.", "Add a secret"),
    "volumes": (VolumeRow, "Volumes", "", "Add a volume"),
    "tmpfs": (TmpfsRow, "In memory (tmpfs)", "Gone when the task ends.", "Add a tmpfs"),
    "domains": (domain_rows.DomainRow, "Domains", "", "Add a domain"),
}


class ServiceForm(ServiceFields):
    """All of a service; what the form does not know of an existing one stays as it is."""

    generation = forms.IntegerField(required=False, widget=forms.HiddenInput)
    networks = forms.MultipleChoiceField(required=False)

    def __init__(
        self,
        data: Any = None,
        *,
        spec: Json | None,
        name: str | None,
        choices: ServiceChoices,
        generation: int | None = None,
    ) -> None:
        self.base = with_network_names(spec, dict(choices.networks)) if spec else None
        self.choices = choices
        self.warnings: list[str] = []
        self.start = initial(self.base) if self.base else new_service(choices)
        labels = (self.base or {}).get("Labels") or {}
        routes = of_labels(name or "", labels)
        self.start = self.start | {"domains": [domain_rows.initial(route) for route in routes]}
        super().__init__(data, initial={**self.start, "generation": generation})
        self.rows: dict[str, Rows] = {
            prefix: rows(
                form,
                data,
                prefix=prefix,
                initial=self.start[prefix],
                choices=choices,
                title=title,
                description=description,
                add_label=add_label,
            )
            for prefix, (form, title, description, add_label) in ROWS.items()
        }
        self.config_rows, self.secret_rows = self.rows["configs"], self.rows["secrets"]
        self.volume_rows, self.tmpfs_rows = self.rows["volumes"], self.rows["tmpfs"]
        self.offer()
        if name:
            self.initial["name"] = name
            self.fields["name"].disabled = True
            self.fields["mode"].disabled = True

    def offer(self) -> None:
        """Fill in the choices; what the service has already stays possible."""
        offered = {
            "registry": [("", "As the image names it"), *self.choices.registries],
            "networks": [
                (name, name)
                for name in with_current(
                    [n for n, _ in self.choices.networks], self.start["networks"]
                )
            ],
            "capability_drop": [
                (name, name.removeprefix("CAP_"))
                for name in with_current(CAPABILITIES, self.start["capability_drop"])
            ],
            "log_driver": [
                ("", "As each node is set up"),
                *((d, d) for d in with_current(LOG_DRIVERS, [self.start["log_driver"]]) if d),
            ],
        }
        for name, options in offered.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]

    @property
    def is_new(self) -> bool:
        """Say whether the service is to be created."""
        return not self.fields["name"].disabled

    @property
    def sections(self) -> list[Section]:
        """Return the form's sections in the order in which they are drawn."""
        return list(sections(self, self.rows, self.start))

    def clean_name(self) -> str:
        """Return a name that the Engine takes and no other service has."""
        name: str = self.cleaned_data["name"]
        if not self.is_new:
            return name
        name = names.service(name)
        # The Engine tells names apart by case, the swarm's name server does not.
        if name.lower() in {taken.lower() for taken in self.choices.taken}:
            raise ValidationError(f"There is a service named “{name}” already.")
        return name

    def clean_image(self) -> str:
        """Return the image with the chosen registry's address."""
        registries = {str(key): address for key, address in self.choices.registries}
        address = registries.get(str(self.cleaned_data.get("registry", "")), "")
        return checks.image_with_registry(self.cleaned_data["image"], address)

    def clean_hostname(self) -> str:
        """Return the host name, if there is one."""
        value: str = self.cleaned_data["hostname"]
        return names.host_name(value) if value else ""

    def clean_working_dir(self) -> str:
        """Return the absolute path, if there is one."""
        value: str = self.cleaned_data["working_dir"]
        return names.absolute_path(value) if value else ""

    def clean_stop_signal(self) -> str:
        """Return the signal's full name."""
        return checks.signal(self.cleaned_data["stop_signal"])

    def clean_capability_drop(self) -> list[str]:
        """Return the capabilities in one order, so that an unchanged form changes nothing."""
        return sorted(self.cleaned_data["capability_drop"])

    def clean_networks(self) -> list[str]:
        """Return the networks in one order, so that an unchanged form changes nothing."""
        return sorted(self.cleaned_data["networks"])

    def clean(self) -> Json:
        """Check what must fit together, and the rows with it."""
        cleaned = self.cleaned_data
        checks.check_mode(cleaned, self.refuse)
        checks.check_resources(cleaned, self.refuse)
        checks.check_health(cleaned, self.refuse)
        checks.check_privileges(cleaned, self.choices, self.refuse)
        if is_job(cleaned.get("mode", "")):
            cleaned |= {f"{kind}_{key}": STRATEGY[key] for kind in STRATEGIES for key in STRATEGY}
        if cleaned.get("endpoint_mode") == "dnsrr" and has_ingress_ports(self.base or {}):
            self.refuse("endpoint_mode", "The service publishes ports, which need a virtual IP.")
        if cleaned.get("log_options") and not cleaned.get("log_driver"):
            self.refuse("log_options", "Choose the log driver that these are for.")
        self.clean_rows(cleaned)
        if not self.errors:
            self.warnings = checks.warnings(cleaned, self.choices)
        return cleaned

    def clean_rows(self, cleaned: Json) -> None:
        """Check the rows, alone and together; what is wrong stands at the row."""
        valid = [formset.is_valid() for formset in self.rows.values()]
        if all(valid):
            checks.check_paths(self.rows.values())
            checks.check_volumes(self.volume_rows.kept, cleaned, self.choices)
        for prefix, formset in self.rows.items():
            if not formset.is_valid() or any(form.errors for form in formset.kept):
                self.add_error(None, f"{formset.title}: correct the marked row.")
            else:
                cleaned[prefix] = formset.values
        checks.check_domains(self.rows["domains"].kept, cleaned, self.choices)
        if any(form.errors for form in self.rows["domains"].kept):
            self.refuse("__all__", "Domains: correct the marked row.")
        pin = pin_of(cleaned.get("volumes", []))
        if pin:
            checks.check_pin(cleaned, pin, self.choices, self.refuse)

    def refuse(self, field: str, message: str) -> None:
        """Say what is wrong at a field, unless something is said there already."""
        if field not in self.errors:
            self.add_error(field, message)

    def spec(self) -> Json:
        """Return the spec that the valid form asks for."""
        values = {key: self.cleaned_data[key] for key in DEFAULTS}
        spec = service_spec(values, self.base)
        routes = [row.route() for row in self.domain_rows]
        return spec | {"Labels": with_routes(spec["Labels"], spec["Name"], routes)}

    @property
    def domain_rows(self) -> list[domain_rows.DomainRow]:
        """Return the rows that map a domain."""
        return cast(list[domain_rows.DomainRow], self.rows["domains"].kept)

    @property
    def postponed(self) -> list[str]:
        """Return the domains whose DNS an Owner wants to be checked later."""
        return [
            row.cleaned_data["domain"]
            for row in self.domain_rows
            if row.cleaned_data.get("postpone")
        ]


def new_service(choices: ServiceChoices) -> Json:
    """Return what a new service is until somebody says otherwise."""
    has_internal = any(name == INTERNAL_NETWORK for name, _ in choices.networks)
    return DEFAULTS | {"networks": [INTERNAL_NETWORK] if has_internal else []}


def with_current(offered: list[str], current: list[str]) -> list[str]:
    """Return what is offered, and after it what the service has besides."""
    return [*offered, *(one for one in current if one not in offered)]
