"""What happened in months: operations, snapshots, backups, restores and audit records."""

import json
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from benchmarks.large.bulk import copy, execute, insert
from benchmarks.large.size import (
    EVENTS,
    HOUR,
    NODES,
    OPERATIONS,
    RESTORES,
    SERVICES,
    SNAPSHOTS,
    VOLUMES,
    Size,
)

AT_ONCE = 50_000
ACTIONS = (
    ("service.updated", "service"),
    ("secret.created", "secret"),
    ("operation.done", "operation"),
    ("snapshot.adopted", "snapshot"),
    ("volume.created", "volume"),
)


def operations(size: Size) -> None:
    """Make operations that have ended, of all clusters by turns, and one in each that has not."""
    active = "place = 0"
    insert(
        "medstack_operation",
        {
            "kind": "'service.apply'",
            "title": "'Apply service'",
            "state": f"CASE WHEN {active} THEN 'running' WHEN place %% 20 = 0 THEN 'failed' "
            "ELSE 'done' END",
            "company_id": "cluster.company_id",
            "cluster_id": "cluster.id",
            "target_kind": "'service'",
            "target_id": "service.id",
            "target_name": "service.name",
            "intent": "'{}'",
            "exclusive": "''",
            "steps": """'["Send it to the Engine", "Wait until it runs"]'""",
            "step": f"CASE WHEN {active} THEN 1 ELSE 2 END",
            "detail": "''",
            "percentage": f"CASE WHEN {active} THEN 50 ELSE 100 END",
            "log": "''",
            "error": "''",
            "cancel_requested_by": "''",
            "requested_by_id": "owner.user_id",
            "requested_at": "at",
            "started_at": "at",
            "ended_at": f"CASE WHEN {active} THEN NULL ELSE at + interval '10 seconds' END",
            "deadline": "at + interval '1 hour'",
            "attempts": "0",
            # Nobody carries them on while the pages are looked at.
            "not_before": f"CASE WHEN {active} THEN at + interval '1 year' END",
        },
        f"""FROM generate_series({OPERATIONS - 1}, 0, -1) AS place
            CROSS JOIN LATERAL (SELECT now() - place * interval '1 hour' AS at) AS moment
            CROSS JOIN clusters_cluster AS cluster
            JOIN clusters_service AS service ON service.cluster_id = cluster.id
                AND service.name = 'service-' || lpad((place %% {SERVICES})::text, 2, '0')
            JOIN medstack_membership AS owner
                ON owner.company_id = cluster.company_id AND owner.role = 'owner'
            ORDER BY place DESC, cluster.id""",
    )


def snapshots(size: Size) -> None:
    """Make a snapshot for every hour; what no rule keeps is purged."""
    from django.utils import timezone

    from backups.retention import reasons_to_keep

    last = timezone.now().replace(minute=0, second=0, microsecond=0)
    hours = {number: last - number * HOUR for number in range(SNAPSHOTS)}
    kept = list(reasons_to_keep(hours, now=last + HOUR / 2))
    insert(
        "backups_snapshot",
        {
            "cluster_id": "cluster.id",
            "repository_id": "repository.id",
            "due": "%(last)s - place * interval '1 hour'",
            "trigger": "'hourly'",
            "state": "CASE WHEN place %% 97 = 5 THEN 'partial' ELSE 'complete' END",
            "reasons": "'[]'",
            "manifest": "'{}'",
            "manifest_sha256": "md5(place::text) || md5(cluster.slug)",
            "part_ids": "'[]'",
            "started_at": "%(last)s - place * interval '1 hour' + interval '1 second'",
            "finished_at": "%(last)s - place * interval '1 hour' + interval '1 minute'",
            "adopted_at": "%(last)s - place * interval '1 hour' + interval '2 minutes'",
            "volumes_count": f"{NODES * VOLUMES}",
            "files": f"{NODES * VOLUMES * 1000}",
            "bytes": f"{NODES * VOLUMES}::bigint * 1000000000",
            "added_bytes": f"{NODES * VOLUMES} * 1000000",
            "hold_reason": "''",
            "purged_at": "CASE WHEN place = ANY(%(kept)s) THEN NULL ELSE %(last)s END",
            "purge_reason": "CASE WHEN place = ANY(%(kept)s) THEN '' ELSE 'No rule keeps it.' END",
        },
        f"""FROM generate_series({SNAPSHOTS - 1}, 0, -1) AS place, clusters_cluster AS cluster
            JOIN backups_repository AS repository ON repository.cluster_id = cluster.id
            ORDER BY place DESC, cluster.id""",
        {"last": last, "kept": kept},
    )


def backups(size: Size) -> None:
    """Make a backup of every volume in every snapshot, and some restores."""
    captured = "snapshot.state = 'complete' OR volume.name NOT LIKE 'images-node-3'"
    insert(
        "backups_volumebackup",
        {
            "snapshot_id": "snapshot.id",
            "cluster_id": "snapshot.cluster_id",
            "due": "snapshot.due",
            "node_id": "node.id",
            "node_name": "node.name",
            "volume_name": "volume.name",
            "state": f"CASE WHEN {captured} THEN 'captured' ELSE 'failed' END",
            "reason": f"CASE WHEN {captured} THEN '' ELSE 'It could not be read.' END",
            "suspicion": "CASE WHEN snapshot.id %% 50 = 0 THEN 'It shrank.' ELSE '' END",
            "restic_id": "md5(volume.id || '-' || snapshot.id) || md5(snapshot.id::text)",
            "tree": "md5(snapshot.id || '-' || volume.id) || md5(volume.id::text)",
            "files": "1000",
            "bytes": "1000000000 + (snapshot.id * 7919 + volume.id * 104729) %% 1000000000",
            "added_bytes": "1000000",
            "started_at": "snapshot.started_at",
            "finished_at": "snapshot.finished_at",
            "checked_at": "CASE WHEN snapshot.id %% 10 = 0 THEN snapshot.finished_at END",
            "check_error": "''",
            "drilled_at": "CASE WHEN snapshot.id %% 100 = 7 THEN snapshot.finished_at END",
            "drilled": "CASE WHEN snapshot.id %% 100 = 7 THEN 'passed' ELSE '' END",
            "purged_at": "snapshot.purged_at",
            "purge_reason": "snapshot.purge_reason",
        },
        """FROM backups_snapshot AS snapshot
           JOIN clusters_node AS node ON node.cluster_id = snapshot.cluster_id
           JOIN clusters_volume AS volume ON volume.node_id = node.id
           ORDER BY snapshot.id, node.id, volume.id""",
    )
    insert(
        "backups_restore",
        {
            "mode": "'new'",
            "cluster_id": "cluster_id",
            "snapshot_id": "snapshot_id",
            "volume_backup_id": "id",
            "node_id": "node_id",
            "volume_name": "volume_name || '-restored'",
            "plan": "'{}'",
            "outcome": "'passed'",
            "expected": "'{}'",
            "result": "'{}'",
            "requested_by_name": "'person-0'",
            "started_at": "finished_at",
            "ended_at": "finished_at",
        },
        f"""FROM (SELECT *, row_number() OVER (PARTITION BY cluster_id ORDER BY id DESC) AS place
                  FROM backups_volumebackup WHERE purged_at IS NULL AND state = 'captured') AS one
            WHERE place <= {RESTORES} ORDER BY id""",
    )


def events(size: Size) -> None:
    """Make audit records as the product words and seals them, in the order of their time."""
    from django.utils import timezone

    from clusters.models import Cluster
    from medstack.chain import ORIGIN, hash_of
    from medstack.models import Event, Membership
    from medstack.sealing import content

    found = list(Cluster.objects.order_by("pk"))
    owners = dict(
        Membership.objects.filter(role="owner").order_by("pk").values_list("company", "user")
    )
    heads: dict[int, tuple[int, str]] = {}
    total = EVENTS * len(found)
    first = timezone.now() - total * timedelta(seconds=2)

    def made(number: int) -> tuple[Sequence[Any], Sequence[Any]]:
        cluster = found[number % len(found)]
        action, kind = ACTIONS[number // len(found) % len(ACTIONS)]
        place = number // len(found) % SERVICES
        event = Event(
            pk=number + 1,
            at=first + number * timedelta(seconds=2),
            action=action,
            company_id=cluster.company_id,
            cluster=cluster,
            actor_id=owners[cluster.company_id],
            actor_name="person-0",
            address="192.0.2.7",
            subject_kind=kind,
            subject_id=place + 1,
            subject_name=f"{kind}-{place:02d}",
            after={"replicas": place},
        )
        length, before = heads.get(cluster.company_id, (0, ORIGIN))
        link = hash_of(before, length + 1, content(event))
        heads[cluster.company_id] = (length + 1, link)
        return (
            [*[*content(event).values()][:-2], None, json.dumps(event.after)],
            (event.pk, cluster.company_id, length + 1, link),
        )

    numbers = iter(range(total))
    while batch := [made(number) for number in islice(numbers, AT_ONCE)]:
        copy(
            """medstack_event (id, at, action, company_id, cluster_id, actor_id, actor_name,
               address, subject_kind, subject_id, subject_name, before, after)""",
            (event for event, _ in batch),
        )
        copy("medstack_seal (event_id, company_id, number, hash)", (seal for _, seal in batch))
    execute("SELECT setval(pg_get_serial_sequence('medstack_event', 'id'), %s)", [total])
