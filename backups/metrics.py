"""Numbers for Prometheus, read from the database whenever it asks: they survive every restart."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backups.models import Drill, Outcome, Protection, Snapshot
from backups.policy import STOPPED
from clusters.models import Cluster
from medstack import queue
from medstack.models import Operation

# Upper limits in seconds: an operation is a matter of seconds, a restore one of minutes or hours.
LIMITS = (1, 5, 15, 60, 300, 900, 3600)
UNSOUND = (Snapshot.State.PARTIAL, Snapshot.State.FAILED, Snapshot.State.MISSED)


class Numbers(Collector):
    """The numbers of some clusters, or of the whole installation."""

    def __init__(self, clusters: QuerySet[Cluster] | None, now: datetime) -> None:
        self.everything, self.now = clusters is None, now
        self.clusters = Cluster.objects.all() if clusters is None else clusters
        rows = Operation.objects.all()
        self.operations = rows if clusters is None else rows.filter(cluster__in=clusters)

    def collect(self) -> Iterator[Metric]:
        """Yield every family of numbers."""
        yield self.snapshot_ages()
        yield self.unsound_snapshots()
        yield self.failed_drills()
        yield self.active_operations()
        yield self.failed_operations()
        yield self.durations()
        if self.everything:
            words = "Tasks that are due and not yet taken by a worker."
            yield GaugeMetricFamily("medstack_queue_tasks", words, queue.waiting())

    def snapshot_ages(self) -> Metric:
        """Return how old each protected cluster's last complete snapshot is."""
        found = GaugeMetricFamily(
            "medstack_snapshot_age_seconds",
            "Age of the last complete snapshot; while there is none, of the protection itself.",
            labels=("cluster",),
        )
        complete = Q(cluster__snapshots__state=Snapshot.State.COMPLETE)
        rows = Protection.objects.filter(cluster__in=self.clusters, ended_at=None)
        rows = rows.exclude(since=None).exclude(cluster__company__subscription__in=STOPPED)
        last = Coalesce(Max("cluster__snapshots__due", filter=complete), "since")
        for slug, moment in rows.annotate(last=last).values_list("cluster__slug", "last"):
            found.add_metric((slug,), (self.now - moment).total_seconds())
        return found

    def unsound_snapshots(self) -> Metric:
        """Count the snapshots that hold less than they should."""
        found = CounterMetricFamily(
            "medstack_snapshots_unsound",
            "Snapshots that are partial, failed or missed.",
            labels=("cluster", "state"),
        )
        rows = Snapshot.objects.filter(cluster__in=self.clusters, state__in=UNSOUND)
        for slug, state, count in counted(rows, "cluster__slug", "state"):
            found.add_metric((slug, state), count)
        return found

    def failed_drills(self) -> Metric:
        """Count the backups that could not be proven."""
        found = CounterMetricFamily(
            "medstack_drills_failed",
            "Drills in which a backup did not come back as it was.",
            labels=("cluster",),
        )
        rows = Drill.objects.filter(
            volume_backup__cluster__in=self.clusters, outcome=Outcome.FAILED
        )
        for slug, count in counted(rows, "volume_backup__cluster__slug"):
            found.add_metric((slug,), count)
        return found

    def active_operations(self) -> Metric:
        """Count what is waiting and what runs."""
        found = GaugeMetricFamily(
            "medstack_operations_active", "Operations that have not ended.", labels=("state",)
        )
        rows = self.operations.filter(state__in=Operation.ACTIVE)
        counts = dict(counted(rows, "state"))
        for state in Operation.ACTIVE:
            found.add_metric((state.value,), counts.get(state, 0))
        return found

    def failed_operations(self) -> Metric:
        """Count the operations that failed."""
        found = CounterMetricFamily(
            "medstack_operations_failed",
            "Operations that failed.",
            labels=("cluster", "kind"),
        )
        rows = self.operations.filter(state=Operation.State.FAILED)
        for slug, kind, count in counted(rows, "cluster__slug", "kind"):
            found.add_metric((slug or "", kind), count)
        return found

    def durations(self) -> Metric:
        """Return how long the operations took that came to a good end."""
        found = HistogramMetricFamily(
            "medstack_operation_duration_seconds",
            "Time from an operation's beginning to its good end.",
            labels=("kind",),
        )
        rows = self.operations.filter(state=Operation.State.DONE).exclude(started_at=None)
        within = {
            f"within_{limit}": Count(
                "pk", filter=Q(ended_at__lte=F("started_at") + timedelta(seconds=limit))
            )
            for limit in LIMITS
        }
        bounds = [str(float(limit)) for limit in LIMITS]
        took = Sum(F("ended_at") - F("started_at"))
        kinds = rows.order_by("kind").values("kind").annotate(Count("pk"), took=took, **within)
        for kind, count, took, *counts in kinds.values_list("kind", "pk__count", "took", *within):
            buckets = [*zip(bounds, counts, strict=True), ("+Inf", count)]
            found.add_metric((kind,), buckets, took.total_seconds())
        return found


def counted(rows: QuerySet[Any], *fields: str) -> list[Any]:
    """Return each combination of the fields' values with the number of its rows."""
    return list(rows.order_by(*fields).values_list(*fields).annotate(count=Count("pk")))


def text(clusters: QuerySet[Cluster] | None, now: datetime) -> bytes:
    """Return all numbers as Prometheus reads them; None stands for the whole installation."""
    registry = CollectorRegistry()
    registry.register(Numbers(clusters, now))
    return generate_latest(registry)
