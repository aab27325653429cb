"""The service form's rows for domains: what publishes a service on the internet."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clusters.forms.service_choices import ServiceChoices
from clusters.forms.service_rows import Row
from clusters.ingress import domains, routes
from clusters.ingress.routes import Route


class DomainRow(Row):
    """A domain, the port behind it, and how the load balancer watches it."""

    needed = ("domain", "port")
    telling = ("domain", "port", "path_prefix", "health_path")

    domain = forms.CharField(required=False, max_length=253)
    port = forms.IntegerField(required=False, min_value=1, max_value=65535, label="Internal port")
    path_prefix = forms.CharField(required=False, label="Path prefix (optional)", max_length=200)
    health_path = forms.CharField(required=False, label="Health check path", max_length=200)
    health_interval = forms.IntegerField(
        required=False, min_value=1, max_value=3600, initial=10, label="Every (s)"
    )
    health_timeout = forms.IntegerField(
        required=False, min_value=1, max_value=60, initial=5, label="Time-out (s)"
    )
    sticky = forms.BooleanField(required=False, label="Sticky sessions")
    postpone = forms.BooleanField(required=False, label="Check the DNS later (recorded)")

    def __init__(
        self, *args: Any, choices: ServiceChoices, used: list[str], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.choices, self.used = choices, used
        if not choices.may_postpone:
            del self.fields["postpone"]

    def clean_domain(self) -> str:
        """Return the domain as it is stored, if this service may have it."""
        if not self.cleaned_data["domain"]:
            return ""
        try:
            domain = domains.normal(self.cleaned_data["domain"])
        except domains.InvalidDomain as error:
            raise ValidationError(str(error)) from None
        if domain in self.choices.claimed:
            owner = self.choices.claimed[domain]
            raise ValidationError(f"“{domain}” belongs to {owner}; remove it there first.")
        if domains.is_wildcard(domain) and not self.choices.can_prove(domain):
            raise ValidationError(
                "A wildcard needs an uploaded certificate that covers it, or a load balancer with "
                "a DNS challenge."
            )
        return domain

    def clean_path_prefix(self) -> str:
        """Return the path prefix."""
        return checked_path(self.cleaned_data["path_prefix"]).rstrip("/")

    def clean_health_path(self) -> str:
        """Return the path that the load balancer asks for."""
        return checked_path(self.cleaned_data["health_path"])

    def route(self) -> Route:
        """Return what the row asks for."""
        values = self.cleaned_data
        return Route(
            domain=values["domain"],
            port=values["port"],
            path=values["path_prefix"],
            health_path=values["health_path"],
            health_interval=values["health_interval"] or 10,
            health_timeout=values["health_timeout"] or 5,
            sticky=values["sticky"],
            uploaded_certificate=self.choices.has_certificate(values["domain"]),
        )


def checked_path(text: str) -> str:
    """Return a path of a URL, or say what is wrong with it."""
    if not text:
        return ""
    try:
        routes.check_path(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None
    return text


def initial(route: Route) -> dict[str, Any]:
    """Return a route as the row shows it."""
    return {
        "domain": route.domain,
        "port": route.port,
        "path_prefix": route.path,
        "health_path": route.health_path,
        "health_interval": route.health_interval,
        "health_timeout": route.health_timeout,
        "sticky": route.sticky,
    }
