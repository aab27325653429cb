"""Compare what runs after a restore with the manifest, and keep what was found as its report."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.utils import timezone

from backups.models import Outcome, Restore
from backups.plan import network_facts
from backups.tasks.environment_work import Work, keep, work_of
from backups.wanted import comparable
from clusters import engine as engines
from clusters import spec as specs
from clusters.actions.nodes import record
from clusters.drift import changes
from clusters.gateway import on_manager, on_node
from clusters.ingress import balancer
from clusters.models import LoadBalancer
from medstack.failures import Failure
from medstack.models import Operation
from medstack.models.events import SYSTEM
from medstack.operations import Waiting, note

Json = dict[str, Any]
# The console's own label says which row an object belongs to, and that is another one now.
ROW = "medstack.row"
SHOWN, LONGEST = 5, 300


def compare(operation: Operation) -> Waiting | None:
    """Compare every object in the Engines with the manifest; differences let the restore fail."""
    work = work_of(operation)
    with on_manager(work.cluster, timeout=20) as manager:
        objects = [*compared(work, manager)]
    objects += compared_volumes(work)
    different = [one for one in objects if one["differences"]]
    report = {
        "compared_at": timezone.now().isoformat(timespec="seconds"),
        "snapshot": str(work.row.snapshot),
        "manifest_sha256": work.row.snapshot.manifest_sha256,
        "cluster": work.cluster.name,
        "nodes": work.row.plan["nodes"],
        "accepted": work.row.plan["warnings"],
        "objects": objects,
        "equal": len(objects) - len(different),
        "different": len(different),
    }
    volumes = [one for one in objects if one["kind"] == "volume"]
    for count in ("files", "bytes"):
        report[count] = sum(one.get(count, 0) for one in volumes)
    keep(work.row, report=report)
    if different:
        words = " ".join(
            f"{one['kind'].capitalize()} {one['name']}: {one['differences'][0]}"
            for one in different[:SHOWN]
        )
        raise Failure(f"{len(different)} objects are not what the manifest says. {words}")
    note(operation, f"{len(objects)} objects compared; all equal the manifest.")
    finish(work.row, Outcome.PASSED)
    return None


def finish(row: Restore, outcome: str) -> None:
    """Keep how a restore ended."""
    Restore.objects.filter(pk=row.pk, outcome=Outcome.RUNNING).update(
        outcome=outcome, ended_at=timezone.now()
    )
    record(f"restore.{outcome}", row, row.cluster, by=SYSTEM)


def compared(work: Work, manager: engines.Engine) -> Iterator[Json]:
    """Compare what the swarm holds."""
    wanted = work.wanted
    here = {one["Name"]: one for one in manager.networks()}
    for body in wanted.networks:
        excused = excuses(work, body["Name"])
        differences = network_differences(body, here.get(body["Name"]), excused)
        yield found("network", body["Name"], differences)
    registries = dict(work.cluster.registries.values_list("address", "username"))
    for one in wanted.registries:
        same = registries.get(one["address"]) == one.get("username", "")
        yield found("registry", one["address"], [] if same else ["It is missing or another."])
    for kind, bodies, items in (
        ("secret", wanted.secrets, manager.secrets()),
        ("config", wanted.configs, manager.configs()),
    ):
        present = {item["Spec"]["Name"]: item["Spec"] for item in items}
        for body in bodies:
            there = present.get(body["Name"])
            yield found(kind, body["Name"], spec_differences(without_row(body), there))
    ids = {one["Name"]: one["Id"] for one in here.values()}
    live = {item["Spec"]["Name"]: item["Spec"] for item in manager.services(status=False)}
    for spec in wanted.services:
        there = live.get(spec["Name"])
        named = specs.named(there, networks=ids) if there else None
        yield found("service", spec["Name"], spec_differences(comparable(spec), named))
    if wanted.load_balancer:
        row = LoadBalancer.objects.filter(cluster=work.cluster).exclude(deployed_at=None).first()
        runs = row and {balancer.NAME, balancer.SOCKET} <= set(live)
        yield found("load balancer", balancer.NAME, [] if runs else ["It does not run."])


def found(kind: str, name: str, differences: Iterable[str], **more: Any) -> Json:
    """Return one line of the report."""
    return {"kind": kind, "name": name, "differences": list(differences)[:SHOWN], **more}


def without_row(spec: Json) -> Json:
    """Return a spec without the label of the console's row."""
    labels = {k: v for k, v in (spec.get("Labels") or {}).items() if k != ROW}
    return comparable({**spec, "Labels": labels})


def spec_differences(wanted: Json, there: Json | None) -> list[str]:
    """Say how an object differs from what it has to be; without values that look secret."""
    if there is None:
        return ["It is not there."]
    return [str(change)[:LONGEST] for change in changes(wanted, without_row(comparable(there)))]


def excuses(work: Work, network: str) -> set[str]:
    """Return what of a network was accepted to be another."""
    accepted = " ".join(work.row.plan["warnings"])
    return {
        what
        for what, words in (
            ("addresses", f"The addresses of the network “{network}”"),
            ("options", f"The network “{network}” is not encrypted"),
        )
        if words in accepted
    }


def network_differences(wanted: Json, there: Json | None, excused: set[str]) -> list[str]:
    """Say how a network differs."""
    if there is None:
        return ["It is not there."]
    mine, theirs = network_facts(wanted), network_facts(there)
    names = ("driver", "flags", "options", "addresses")
    return [
        f"Its {name} differ."
        for name, one, other in zip(names, mine, theirs, strict=True)
        if one != other and name not in excused
    ]


def compared_volumes(work: Work) -> list[Json]:
    """Compare the volumes: there, on their nodes, with as many files and bytes as were captured."""
    counted = work.row.result.get("volumes", {})
    lines = []
    for place in dict.fromkeys(volume.place for volume in work.wanted.volumes):
        with on_node(work.node(place.name)) as engine:
            present = {one["Name"] for one in engine.volumes()}
        for volume in work.wanted.volumes:
            if volume.place != place:
                continue
            part, counts = volume.part, counted.get(volume.key)
            differences = [] if part.volume in present else ["It is not there."]
            if volume.has_data and counts:
                differences += [
                    f"{counts[name]:,} {name}, not {getattr(part, name):,}."
                    for name in ("files", "bytes")
                    if counts[name] != getattr(part, name)
                ]
            sizes = {name: counts[name] for name in ("files", "bytes")} if counts else {}
            more = {"node": place.name, "from": part.node, "tree": part.tree, **sizes}
            lines.append(found("volume", part.volume, differences, **more))
    return lines
