"""Every action leaves exactly one event that says all, and no secret."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from clusters import actions, drift
from clusters.actions import nodes, objects, services, terminals
from clusters.models import Cluster, Config, Node, Registry, Secret, Service, Task, Volume
from medstack.failures import Failure
from medstack.models import Event, Operation, User
from medstack.models.events import Actor
from tests.running import running_service

Json = dict[str, Any]
HIDDEN = drift.HIDDEN
PASSWORD = "hunter2-Xq7"


@dataclass
class Scene:
    """What actions act upon."""

    cluster: Cluster
    node: Node
    registry: Registry
    config: Config
    secret: Secret
    volume: Volume
    service: Service
    task: Task


@dataclass(frozen=True)
class Act:
    """An action, and the one event that it must leave."""

    do: Callable[[Scene, Actor], object]
    action: str
    before: Any = None
    after: Any = None
    kind: str = ""
    # Where the event holds a whole spec only these places of it are compared.
    parts: tuple[str, ...] = field(default=())


def place(scene: Scene) -> terminals.Place:
    return terminals.place_of(scene.task)


def drifted(scene: Scene) -> Service:
    """Let somebody have scaled the service outside the console."""
    live = {**scene.service.spec, "Mode": {"Replicated": {"Replicas": 7}}}
    Service.objects.filter(pk=scene.service.pk).update(observed=live)
    return scene.service


PLACE = {"task": "web.1", "node": "node-1", "container": "container1"}
ACTS: dict[str, Act] = {
    "nodes.create_cluster": Act(
        lambda s, by: nodes.create_cluster(s.cluster.company, "Staging", by=by),
        "cluster.created",
        after={"name": "Staging", "plain": False},
        kind="cluster",
    ),
    "nodes.create_node": Act(
        lambda s, by: nodes.create_node(
            Node(
                cluster=s.cluster,
                name="node-2",
                provider="attach",
                endpoint_url="ssh://root@192.0.2.2",
                ssh_key=PASSWORD,
                address="192.0.2.2",
            ),
            by=by,
        ),
        "node.created",
        after={
            "name": "node-2",
            "provider": "attach",
            "endpoint": "ssh://root@192.0.2.2",
            "address": "192.0.2.2",
            "role": "worker",
        },
        kind="node",
    ),
    "nodes.change_role": Act(
        lambda s, by: nodes.change_role(s.node, "manager", by=by),
        "node.role",
        before="manager",
        after="manager",
        kind="node",
    ),
    "nodes.change_availability": Act(
        lambda s, by: nodes.change_availability(s.node, "drain", by=by),
        "node.availability",
        before="active",
        after="drain",
        kind="node",
    ),
    "nodes.change_labels": Act(
        lambda s, by: nodes.change_labels(s.node, {"disk": "ssd"}, by=by),
        "node.labels",
        before={},
        after={"disk": "ssd"},
        kind="node",
    ),
    "nodes.remove_node": Act(
        lambda s, by: nodes.remove_node(s.node, by=by, force=True),
        "node.removed",
        before={"role": "manager", "force": True},
        kind="node",
    ),
    "objects.save_registry": Act(
        lambda s, by: objects.save_registry(
            Registry(cluster=s.cluster, address="new.example", username="robot", password=PASSWORD),
            by=by,
        ),
        "registry.created",
        after={"address": "new.example", "username": "robot"},
        kind="registry",
    ),
    "objects.test_registry": Act(
        lambda s, by: objects.test_registry(s.registry, by=by), "registry.tested", kind="registry"
    ),
    "objects.delete_registry": Act(
        lambda s, by: objects.delete_registry(s.registry, by=by),
        "registry.deleted",
        before={"address": "old.example"},
        kind="registry",
    ),
    "objects.create_version": Act(
        lambda s, by: objects.create_version(
            Secret, s.cluster, "password", PASSWORD.encode(), by=by
        ),
        "secret.rotated",
        before={"version": 1},
        after={"name": "password", "version": 2, "bytes": len(PASSWORD)},
        kind="secret",
    ),
    "objects.delete_version": Act(
        lambda s, by: objects.delete_version(s.config, by=by),
        "config.deleted",
        before={"name": "settings"},
        kind="config",
    ),
    "objects.create_volume": Act(
        lambda s, by: objects.create_volume(
            s.node, "share", "local", {"o": f"password={PASSWORD}"}, {}, by=by
        ),
        "volume.created",
        after={"name": "share", "node": "node-1", "driver": "local", "options": ["o"]},
        kind="volume",
    ),
    "objects.delete_volume": Act(
        lambda s, by: objects.delete_volume(s.volume, by=by),
        "volume.deleted",
        before={"name": "data", "node": "node-1", "bytes": 42},
        kind="volume",
    ),
    "services.create_service": Act(
        lambda s, by: services.create_service(s.cluster, {**s.service.spec, "Name": "api"}, by=by),
        "service.created",
        after={"Name": "api"},
        kind="service",
        parts=("Name",),
    ),
    "services.update_service": Act(
        lambda s, by: services.update_service(
            s.service,
            with_env(s.service.spec, "LANG=de_AT.UTF-8", f"DB_PASSWORD={PASSWORD}-new"),
            generation=s.service.generation,
            by=by,
        ),
        "service.updated",
        before={
            "TaskTemplate.ContainerSpec.Env": ["LANG=C.UTF-8", f"DB_PASSWORD={HIDDEN}"],
        },
        after={
            "TaskTemplate.ContainerSpec.Env": ["LANG=de_AT.UTF-8", f"DB_PASSWORD={HIDDEN}"],
        },
        kind="service",
    ),
    "services.scale_service": Act(
        lambda s, by: services.scale_service(s.service, 5, by=by),
        "service.scaled",
        before={"Mode.Replicated.Replicas": 2},
        after={"Mode.Replicated.Replicas": 5},
        kind="service",
    ),
    "services.restart_service": Act(
        lambda s, by: services.restart_service(s.service, by=by),
        "service.restarted",
        before={},
        after={},
        kind="service",
    ),
    "services.refresh_image": Act(
        lambda s, by: services.refresh_image(s.service, by=by),
        "service.image_refreshed",
        before={},
        after={},
        kind="service",
    ),
    "services.roll_back": Act(
        lambda s, by: services.roll_back(with_previous(s.service), by=by),
        "service.rolled_back",
        before={"Mode.Replicated.Replicas": 2},
        after={"Mode.Replicated.Replicas": 1},
        kind="service",
    ),
    "services.overwrite_drift": Act(
        lambda s, by: services.overwrite_drift(drifted(s), by=by),
        "service.drift_overwritten",
        before={},
        after={},
        kind="service",
    ),
    "services.accept_drift": Act(
        lambda s, by: services.accept_drift(drifted(s), by=by),
        "service.drift_accepted",
        before={"Mode": {"Replicated": {"Replicas": 2}}},
        after={"Mode": {"Replicated": {"Replicas": 7}}},
        kind="service",
        parts=("Mode",),
    ),
    "services.delete_service": Act(
        lambda s, by: services.delete_service(s.service, by=by),
        "service.deleted",
        before={"Name": "web"},
        kind="service",
        parts=("Name",),
    ),
    "terminals.terminal_opened": Act(
        lambda s, by: terminals.terminal_opened(place(s), by=by),
        "terminal.opened",
        after=PLACE,
        kind="service",
    ),
    "terminals.terminal_closed": Act(
        lambda s, by: terminals.terminal_closed(
            place(s), by=by, seconds=2.04, exit_code=0, reason="The shell ended."
        ),
        "terminal.closed",
        after=PLACE | {"seconds": 2.0, "exit_code": 0, "reason": "The shell ended."},
        kind="service",
    ),
}
# What every action is made of; whoever calls these has recorded, or records with them.
PARTS = {"nodes.record", "nodes.start", "objects.start", "services.start", "services.change"}


def with_env(spec: Json, *lines: str) -> Json:
    """Return a spec with another environment."""
    changed: Json = json.loads(json.dumps(spec))
    changed["TaskTemplate"]["ContainerSpec"]["Env"] = list(lines)
    return changed


def with_previous(service: Service) -> Service:
    """Let a service have had one replica before."""
    service.previous_spec = {**service.spec, "Mode": {"Replicated": {"Replicas": 1}}}
    service.save()
    return service


def written_actions() -> set[str]:
    """Return every function of the actions that is done by somebody."""
    found = set()
    for module in pkgutil.iter_modules([str(Path(actions.__file__).parent)]):
        code = importlib.import_module(f"clusters.actions.{module.name}")
        for name, function in inspect.getmembers(code, inspect.isfunction):
            is_own = function.__module__ == code.__name__
            if is_own and "by" in inspect.signature(function).parameters:
                found.add(f"{module.name}.{name}")
    return found


@pytest.fixture
def scene(cluster: Cluster, node: Node) -> Scene:
    service = running_service(cluster, node)
    service.spec = with_env(service.spec, "LANG=C.UTF-8", f"DB_PASSWORD={PASSWORD}")
    service.applied = service.readback = service.observed = service.spec
    service.save()
    task = service.tasks.get(slot=1)
    Task.objects.filter(pk=task.pk).update(container_id="container1", node=node)
    return Scene(
        cluster=cluster,
        node=node,
        registry=Registry.objects.create(cluster=cluster, address="old.example"),
        config=Config.objects.create(cluster=cluster, name="settings", engine_id="c1"),
        secret=Secret.objects.create(cluster=cluster, name="password", engine_id="s1"),
        volume=Volume.objects.create(
            node=node, name="data", size_bytes=42, observed_at=timezone.now()
        ),
        service=service,
        task=service.tasks.get(slot=1),
    )


def test_every_action_has_a_stated_event() -> None:
    from_elsewhere = {name for name in written_actions() if name.split(".")[0] in LATER}
    assert written_actions() - PARTS - from_elsewhere == set(ACTS)


# The load balancer's actions are composed of several; tests of their own hold them.
LATER = {"domains", "ingress"}


@pytest.mark.parametrize("name", ACTS)
def test_an_action_leaves_exactly_one_event_that_says_all(
    name: str, scene: Scene, operator: User
) -> None:
    act = ACTS[name]
    before = set(Event.objects.values_list("pk", flat=True))
    act.do(scene, Actor(operator, "198.51.100.4"))
    event = Event.objects.exclude(pk__in=before).get()
    assert event.action == act.action
    assert (event.actor, event.actor_name) == (operator, operator.email)
    assert event.address == "198.51.100.4"
    assert event.company == scene.cluster.company
    assert event.subject_kind == act.kind
    assert event.subject_name
    assert (timezone.now() - event.at).total_seconds() < 60
    for found, expected in ((event.before, act.before), (event.after, act.after)):
        if found and act.parts and expected is not None:
            assert {part: found[part] for part in act.parts} == expected
        else:
            assert found == expected
    assert PASSWORD not in everything(event)


def everything(event: Event) -> str:
    """Return all that an event holds, as text."""
    return json.dumps({name: str(value) for name, value in vars(event).items()})


def test_a_service_event_keeps_names_and_hides_values_that_look_secret(
    scene: Scene, operator: User
) -> None:
    spec = with_env(scene.service.spec, f"API_TOKEN={PASSWORD}", "TZ=UTC")
    spec["Name"] = "api"
    spec["TaskTemplate"]["ContainerSpec"]["Args"] = ["serve", f"--db-password={PASSWORD}"]
    services.create_service(scene.cluster, spec, by=Actor(operator))
    event = Event.objects.get(action="service.created")
    assert event.after
    container = event.after["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == [f"API_TOKEN={HIDDEN}", "TZ=UTC"]
    assert container["Args"] == ["serve", f"--db-password={HIDDEN}"]
    assert PASSWORD not in everything(event)


def test_a_refused_action_leaves_no_event(scene: Scene, operator: User) -> None:
    by = Actor(operator)
    worker_only = Node.objects.get(pk=scene.node.pk)
    count = Event.objects.count()
    refusals: list[Callable[[], object]] = [
        lambda: nodes.change_role(worker_only, "worker", by=by),
        lambda: services.update_service(scene.service, {}, generation=0, by=by),
        lambda: services.roll_back(scene.service, by=by),
    ]
    for refusal in refusals:
        with pytest.raises(Failure):
            refusal()
    assert (Event.objects.count(), Operation.objects.count()) == (count, 0)
