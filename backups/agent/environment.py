"""Capture the environment: the Swarm's objects, as a manager describes them."""

import base64
import json
from collections.abc import Callable
from typing import Any

from backups.agent import secrets
from backups.agent.halting import started
from backups.agent.volumes import Setting
from backups.fractions import without
from backups.parts import Environment, Secret
from backups.restic import ResticError
from clusters import engine as engines

Json = dict[str, Any]
KIND, ENVIRONMENT = "medstack.kind", "environment"
# Networks that every swarm has by itself.
OWN_NETWORKS = ("ingress",)


def is_leading(engine: engines.Engine) -> bool:
    """Say whether this node is the leading manager, which speaks for the whole cluster."""
    swarm = engine.info()["Swarm"]
    if not swarm.get("ControlAvailable"):
        return False
    status = engine.node(swarm["NodeID"]).get("ManagerStatus") or {}
    return bool(status.get("Leader"))


def capture(setting: Setting) -> Environment:
    """Return the objects of the cluster, and put the secrets' values into the repository.

    What fails is said in words, and the rest is captured.
    """
    engine, failures = setting.engine, []

    def attempted(what: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (engines.EngineError, ResticError) as error:
            failures.append(f"{what}: {error}")
            return None

    listed = attempted("Secrets", engine.secrets) or []
    wanted = [one for one in listed if not is_agents(one)]
    stored = attempted("Secrets", lambda: secrets.capture(setting, wanted))
    configs = attempted("Configs", engine.configs) or []
    told = told_by_console(configs)
    return Environment(
        services=objects(attempted("Services", lambda: engine.services(status=False))),
        configs=objects([one for one in configs if not is_agents(one)]),
        secrets=tuple(
            sorted((described(one, stored is not None) for one in wanted), key=lambda s: s.name)
        ),
        registries=tuple(told.get("registries", ())),
        networks=networks(attempted("Networks", engine.networks)),
        node_labels=labels(attempted("Nodes", engine.nodes)),
        domain_mappings=tuple(told.get("domain_mappings", ())),
        failures=tuple(failures),
        secrets_snapshot=stored or "",
        load_balancer=told.get("load_balancer", {}),
        nodes=tuple(told.get("nodes", ())),
        volume_policies=tuple(told.get("volume_policies", ())),
    )


def is_agents(item: Json) -> bool:
    """Say whether an object is only there for the agents, who get a new one with each change."""
    spec_labels = item["Spec"].get("Labels") or {}
    return spec_labels.get(KIND) in ("agent", "policy", ENVIRONMENT)


def told_by_console(configs: list[Json]) -> Json:
    """Return what the console knows and no Engine does: registries, domains, the load balancer."""
    ours = [one for one in configs if (one["Spec"].get("Labels") or {}).get(KIND) == ENVIRONMENT]
    if not ours:
        return {}
    newest = max(ours, key=lambda one: one["CreatedAt"])
    found: Json = json.loads(base64.b64decode(newest["Spec"]["Data"]))
    return found


def described(item: Json, was_stored: bool) -> Secret:
    """Return a secret as the manifest shows it."""
    spec = item["Spec"]
    reason = ""
    if spec.get("Driver"):
        reason = "An external driver holds its value."
    elif spec.get("Templating"):
        reason = "Its value is made by a template on each node."
    elif not was_stored:
        reason = "Its value could not be captured."
    kept = {key: value for key, value in spec.items() if key != "Data"}
    return Secret(name=spec["Name"], restorable=not reason, reason=reason, spec=without(kept))


def objects(items: list[Json] | None) -> tuple[Json, ...]:
    """Return specs with the ids that others use for them."""
    found = [{"ID": item["ID"], "Spec": without(started(item["Spec"]))} for item in items or []]
    return tuple(sorted(found, key=lambda item: str(item["Spec"]["Name"])))


def networks(items: list[Json] | None) -> tuple[Json, ...]:
    """Return the swarm's networks as they would be created again."""
    keys = ("Id", "Name", "Driver", "Attachable", "Internal", "Options", "Labels", "IPAM")
    kept = [
        without({key: item.get(key) for key in keys})
        for item in items or []
        if item.get("Scope") == "swarm" and item["Name"] not in OWN_NETWORKS
    ]
    return tuple(sorted(kept, key=lambda item: str(item["Name"])))


def labels(items: list[Json] | None) -> tuple[Json, ...]:
    """Return the nodes' ids, names and labels."""
    found = [
        {
            "ID": item["ID"],
            "Hostname": item["Description"]["Hostname"],
            "Role": item["Spec"]["Role"],
            "Labels": item["Spec"].get("Labels") or {},
        }
        for item in items or []
    ]
    return tuple(sorted(found, key=lambda item: str(item["Hostname"])))
