"""What tests of services share: one that runs, and the Engine on the wire that it runs on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.forms import BoundField
from django.test import Client
from django.utils import timezone

from clusters import spec as specs
from clusters.models import Cluster, Node, Service, Task
from tests.fake_engine import FakeEngine

Json = dict[str, Any]
IMAGE = "registry.example.com/portal/web:1.4"


def spec_of(name: str = "web", **values: Any) -> Json:
    """Return a service's spec as the form makes it."""
    given = {"name": name, "image": IMAGE, "replicas": 2} | values
    return specs.service_spec(specs.DEFAULTS | given, None)


def running_service(cluster: Cluster, node: Node) -> Service:
    """Make a service of which everything runs as it is wanted."""
    spec = spec_of(environment=["LANG=C.UTF-8", "DB_PASSWORD=hunter2"])
    service = Service.objects.create(
        cluster=cluster,
        name="web",
        spec=spec,
        applied=spec,
        applied_generation=1,
        readback=spec,
        observed=spec,
        observed_version=7,
        engine_id="service1",
        running=2,
        desired=2,
    )
    for slot in (1, 2):
        Task.objects.create(
            cluster=cluster,
            service=service,
            node=node,
            engine_id=f"task{slot}",
            slot=slot,
            state="running",
            desired_state="running",
            container_id=f"container{slot}",
            image=IMAGE,
            since=timezone.now(),
        )
    return service


@contextmanager
def engine_behind(node: Node, folder: Path) -> Iterator[FakeEngine]:
    """Put an Engine that speaks the wire, and knows the running service, behind a node."""
    with FakeEngine(folder / "docker.sock") as fake:
        Node.objects.filter(pk=node.pk).update(endpoint_url=fake.url)
        template = {"ContainerSpec": {"Image": IMAGE}}
        spec = {"Name": "web", "TaskTemplate": template}
        fake.state["services"]["service1"] = {"ID": "service1", "Spec": spec}
        for slot in (1, 2):
            fake.state["tasks"][f"task{slot}"] = {"ID": f"task{slot}", "Spec": template}
            container = {"ID": f"container{slot}", "Spec": {}, "Config": {"Tty": False}}
            fake.state["containers"][f"container{slot}"] = container
        yield fake


def errors_at(response: Any, field: str) -> str:
    """Return the errors that the page shows at a field."""
    assert response.status_code == 422
    errors = " ".join(response.context["form"].errors.get(field, []))
    assert errors.split("“")[0].strip() in response.content.decode().replace("&#x27;", "'")
    return errors


def filled(client: Client, url: str, **changed: Any) -> Json:
    """Return what a browser would send: the form as it was opened, with some fields changed."""
    form = client.get(url).context["form"]
    fields = [field for field in form if field.name in form.fields]
    for formset in form.rows.values():
        fields += [field for part in (formset.management_form, *formset) for field in part]
    values = {field.html_name: sent(field) for field in fields}
    return {name: value for name, value in values.items() if value is not None} | changed


def sent(field: BoundField) -> Any:
    """Return what a browser sends of a field: nothing for an empty checkbox."""
    value = field.value()
    if isinstance(value, bool):
        return "on" if value else None
    return "" if value is None else value
