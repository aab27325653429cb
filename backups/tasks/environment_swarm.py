"""Bring back what the swarm holds: labels of nodes, networks, registries, secrets, configs."""

import json
from typing import Any

from backups import jobs, opening, restic
from backups.actions.environment import ROW_LABEL, logical, restored_version
from backups.agent.messages import Job
from backups.agent.tags import SECRETS
from backups.plan import overlapping
from backups.tasks.environment_work import (
    Work,
    ended,
    keep,
    newest,
    together,
    told,
    work_of,
)
from backups.wanted import environment_of, own
from clusters import engine as engines
from clusters.actions.nodes import change_labels
from clusters.actions.objects import save_registry, test_registry
from clusters.gateway import answering_manager, on_manager
from clusters.models import Config, Registry, Secret
from medstack.failures import Failure
from medstack.models import Operation
from medstack.operations import AlreadyRunning, Waiting, note

Json = dict[str, Any]


def label_nodes(operation: Operation) -> Waiting | None:
    """Put the operators' labels on the new nodes, before anything is placed by them."""
    work, waiting = work_of(operation), []
    with on_manager(work.cluster) as manager:
        members = {one["ID"]: dict(one["Spec"].get("Labels") or {}) for one in manager.nodes()}
    for name, wanted in work.wanted.labels.items():
        node = work.node(name)
        here = members.get(node.swarm_node_id, {})
        if wanted.items() <= here.items():
            continue
        waiting.append(Waiting(f"{name} is being labelled."))
        node.labels = here
        try:
            change_labels(node, {**own(here), **wanted}, by=work.by)
        except AlreadyRunning:
            # Ours of a moment ago, or somebody's, which has to end first.
            continue
    return together(waiting, len(work.wanted.labels))


def create_networks(operation: Operation) -> Waiting | None:
    """Create the overlay networks that are missing."""
    work, made = work_of(operation), 0
    with on_manager(work.cluster, timeout=20) as manager:
        present = {one["Name"]: one for one in manager.networks()}
        for wanted in work.wanted.networks:
            if wanted["Name"] in present:
                continue
            body = dict(wanted)
            if overlapping(wanted, present):
                body["IPAM"] = {"Driver": wanted["IPAM"]["Driver"]}
            if work.cluster.lab_plain_network:
                body["Options"] = {k: v for k, v in body["Options"].items() if k != "encrypted"}
            manager.network_create(body)
            made += 1
    told(operation, made, "network")
    return None


def save_registries(operation: Operation) -> Waiting | None:
    """Save the registries with the passwords that lie with the secrets, read in memory only."""
    work, waiting, refused = work_of(operation), [], []
    present = {row.address: row for row in work.cluster.registries.all()}
    missing = [one for one in work.wanted.registries if one["address"] not in present]
    if missing:
        passwords = passwords_of(work)
        for one in missing:
            address, username = one["address"], one.get("username", "")
            row = Registry(
                cluster=work.cluster,
                address=address,
                username=username,
                password=passwords.get((address, username), ""),
            )
            save_registry(row, by=work.by)
        return Waiting(f"{len(missing)} registries are being tried.")
    for one in work.wanted.registries:
        row = present[one["address"]]
        last = newest("registry", row.pk, work)
        if last is None:
            continue
        is_ours = last.requested_at >= operation.requested_at
        if last.state == Operation.State.FAILED and not is_ours:
            # What refused it then may let it in now, and its services are pulled from there.
            last = test_registry(row, by=work.by)
        try:
            if waits := ended(last, f"Registry {row.address}"):
                waiting.append(waits)
        except Failure as error:
            # The images of its services may lie on the nodes; where they do not, that is said then.
            refused.append(f"Warning: {error}")
    for words in [] if waiting else refused:
        note(operation, words)
    return together(waiting, len(work.wanted.registries))


def passwords_of(work: Work) -> dict[tuple[str, str], str]:
    """Read the registries' passwords from the secrets' capture."""
    environment, found = environment_of(work.manifest), {}
    kept = [
        one.name
        for one in environment.secrets
        if (one.spec.get("Labels") or {}).get("medstack.kind") == "registries"
    ]
    repository = opening.for_console(work.repository)
    for name in kept if environment.secrets_snapshot else []:
        path = f"{SECRETS}/{name}"
        content = b"".join(restic.dump(repository, environment.secrets_snapshot, path, timeout=20))
        for one in json.loads(content)["registries"]:
            found[one["address"], one["username"]] = one["password"]
    return found


def create_secrets(operation: Operation) -> Waiting | None:
    """Let a container on a manager create the secrets; their values never come here."""
    work = work_of(operation)
    wanted = work.wanted.secrets
    with on_manager(work.cluster) as manager:
        present = ids_of(manager.secrets())
    missing = [spec for spec in wanted if spec["Name"] not in present]
    if missing or "secrets" in operation.intent:
        # The rows first: a look at the cluster would take the objects for a stranger's.
        bodies = [labelled(Secret, work, spec) for spec in missing]
        node = work.node(
            operation.intent.setdefault("secrets", answering_manager(work.cluster).name)
        )
        job = Job(
            kind="restore_secrets",
            cluster=work.cluster.slug,
            repository=work.for_nodes,
            values={
                "snapshot": environment_of(work.manifest).secrets_snapshot,
                "secrets": bodies,
            },
        )
        seen = jobs.follow(operation, node, job, name="secrets", docker=True)
        if isinstance(seen, Waiting):
            return seen
        keep(work.row, secrets=sorted({*work.row.result.get("secrets", []), *seen["created"]}))
        told(operation, len(seen["created"]), "secret")
        with on_manager(work.cluster) as manager:
            present = ids_of(manager.secrets())
        adopt(Secret, work, wanted, present)
        jobs.remove(operation, node, "secrets")
    return None


def create_configs(operation: Operation) -> Waiting | None:
    """Create the configs, whose content is in the manifest."""
    work, made = work_of(operation), 0
    with on_manager(work.cluster, timeout=20) as manager:
        present = ids_of(manager.configs())
        for spec in work.wanted.configs:
            if spec["Name"] in present:
                continue
            body = labelled(Config, work, spec)
            present[spec["Name"]] = str(manager.post("/configs/create", body=body)["ID"])
            made += 1
    adopt(Config, work, work.wanted.configs, present)
    told(operation, made, "config")
    return None


def ids_of(items: list[Json]) -> dict[str, str]:
    """Return the ids of Swarm objects by their names."""
    return {item["Spec"]["Name"]: item["ID"] for item in items}


def labelled(model: type[Config] | type[Secret], work: Work, spec: Json) -> Json:
    """Return the body that creates an object again, with the label of its new row."""
    specs = work.wanted.secrets if model is Secret else work.wanted.configs
    name, version = logical(spec)
    newer = [one for one in map(logical, specs) if one[0] == name and one[1] > version]
    row = restored_version(model, work.cluster, spec, is_newest=not newer, by=work.by)
    labels = dict(spec.get("Labels") or {})
    if ROW_LABEL in labels:
        labels[ROW_LABEL] = str(row.pk)
    return {**spec, "Labels": labels}


def adopt(
    model: type[Config] | type[Secret],
    work: Work,
    wanted: tuple[Json, ...],
    present: dict[str, str],
) -> None:
    """Give the rows the ids of their objects."""
    for spec in wanted:
        name, version = logical(spec)
        engine_id = present.get(spec["Name"])
        if engine_id is None:
            raise engines.Unreachable(f"The swarm does not show “{spec['Name']}” yet.")
        model.objects.present().filter(
            cluster=work.cluster, name=name, version=version, engine_id=""
        ).update(engine_id=engine_id)
