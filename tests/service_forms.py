"""Fill in the service form as a browser would."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

from clusters import spec as specs
from clusters.forms.service import ServiceChoices, ServiceForm, VolumeChoice
from clusters.spec.defaults import DEFAULTS

Json = dict[str, Any]
SECOND, GIGABYTE = 10**9, 2**30
INTERNAL_ID = "m7kwm2p7nvl0aaj4tp8jxs2ky"
CHOICES = ServiceChoices(
    registries=[(1, "registry.example.com/lib")],
    secrets=[("db-v2", "db"), ("api", "api")],
    configs=[("app", "app")],
    volumes=[
        VolumeChoice("data", "n1", "alpha"),
        VolumeChoice("logs", "n1", "alpha"),
        VolumeChoice("logs", "n2", "beta"),
    ],
    networks=[("front", "n5fq"), ("internal", INTERNAL_ID)],
    nodes=[("n1", "alpha"), ("n2", "beta")],
    api_version="1.41",
    taken=frozenset({"db"}),
)
MODERN = ServiceChoices(nodes=CHOICES.nodes, networks=CHOICES.networks, api_version="1.44")


class Browser(HTMLParser):
    """Read a form's fields as a browser would send them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sent: MultiValueDict[str, str] = MultiValueDict()
        self.name = self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name = found.get("name") or ""
        if tag == "input" and "disabled" not in found:
            is_box = found.get("type") == "checkbox"
            if not is_box or "checked" in found:
                self.sent.appendlist(name, found.get("value") or ("on" if is_box else ""))
        elif tag in ("select", "textarea"):
            self.name, self.text = ("" if "disabled" in found else name), ""
        elif tag == "option" and "selected" in found and self.name:
            self.sent.appendlist(self.name, found.get("value") or "")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.name:
            # The first line break belongs to the markup; the others are sent as two characters.
            value = self.text.removeprefix("\r").removeprefix("\n").replace("\n", "\r\n")
            self.sent.appendlist(self.name, value)


def shown(form: ServiceForm) -> MultiValueDict[str, str]:
    """Return what a browser sends when nothing is touched."""
    html = "".join(str(field) for field in form)
    for formset in form.rows.values():
        html += str(formset.management_form)
        html += "".join(str(field) for row in formset for field in row)
    return Browser(html).sent


def submit(
    typed: Mapping[str, str | list[str]] | None = None,
    *,
    spec: Json | None = None,
    choices: ServiceChoices = CHOICES,
) -> ServiceForm:
    """Open the form, type into some of its fields, and send it."""
    name = str(spec["Name"]) if spec else None
    data = shown(ServiceForm(spec=spec, name=name, choices=choices, generation=3))
    least: dict[str, str | list[str]] = {} if spec else {"name": "web", "image": "nginx:1"}
    for field, value in (least | dict(typed or {})).items():
        data.setlist(field, value if isinstance(value, list) else [value])
    body = QueryDict(mutable=True)
    for field, values in data.lists():
        body.setlist(field, values)
    return ServiceForm(body, spec=spec, name=name, choices=choices)


def saved(form: ServiceForm) -> Json:
    """Return the spec of a form that must be valid."""
    assert form.is_valid(), (form.errors, [formset.errors for formset in form.rows.values()])
    return form.spec()


def container_of(spec: Json) -> Json:
    """Return the container's part."""
    found: Json = spec["TaskTemplate"]["ContainerSpec"]
    return found


def rich_spec() -> Json:
    """Make a spec with something of everything."""
    return specs.service_spec(
        DEFAULTS
        | {
            "name": "shop",
            "image": "registry.example.com/lib/shop:1",
            "command": ["sh", "-c", "echo 'a b'\nexec shop"],
            "environment": ["A=1", 'QUOTED="x"', "KEY=line 1\nline 2", "EMPTY=", "SPACE= x "],
            "memory_limit": GIGABYTE,
            "cpu_limit": SECOND // 2,
            "constraints": ["node.role==worker"],
            "preferences": ["node.labels.zone"],
            "secrets": [
                {"name": "db-v1", "target": "db", "uid": "7", "gid": "7", "mode": 0o400},
            ],
            "configs": [
                {"name": "app", "target": "/etc/app", "uid": "0", "gid": "0", "mode": 0o444},
            ],
            "volumes": [{"volume": "n1/data", "path": "/data", "read_only": True}],
            "tmpfs": [{"path": "/tmp", "size": 64 * 2**20}],
            "networks": ["front", "internal"],
            "health_mode": "exec",
            "health_command": "curl -f 'http://localhost/a b'",
            "capability_drop": ["CAP_KILL", "CAP_SYS_TIME"],
            "labels": {"team": "a=b"},
            "log_driver": "awslogs",
            "log_options": {"awslogs-region": "eu-central-1"},
            "stop_signal": "SIGQUIT",
            "update_max_failure_ratio": 0.25,
        }
    )
