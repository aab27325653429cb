"""Operations whose steps answer as a test tells them to."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django_q.models import OrmQ

from clusters.models import Cluster
from medstack import operations, tasks
from medstack.models import Operation, User
from medstack.models.events import Actor
from medstack.operations import Kind, Step, Waiting

WAITING = Waiting("2 of 3 tasks run.", 0.5, again_in=60)
Run = Callable[[Operation], Waiting | None]
Start = Callable[..., Operation]


class Killed(BaseException):
    """A worker that is killed: nothing of it runs any more, and nothing is cleaned up."""


class Script:
    """A step that answers as it is told, one answer for each time it is run."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.runs = 0

    def __call__(self, operation: Operation) -> Waiting | None:
        self.runs += 1
        answer = self.answers[min(self.runs, len(self.answers)) - 1] if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        assert answer is None or isinstance(answer, Waiting)
        return answer


def starter(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Return what starts an operation of the test's own kind, in a transaction like an action."""

    def begin(
        *steps: Run,
        exclusive: str = "",
        by: User | None = None,
        on_failure: Callable[[Operation], None] | None = None,
    ) -> Operation:
        titled = tuple(Step(f"Step {number}", step) for number, step in enumerate(steps, 1))
        kind = Kind("Try", titled, on_failure=on_failure)
        monkeypatch.setitem(operations.register.kinds, "test.try", kind)
        with transaction.atomic():
            return operations.start(
                "test.try",
                cluster,
                by=Actor(by),
                company=cluster.company,
                cluster_id=cluster.pk,
                exclusive=exclusive,
            )

    return begin


def time_passes(*, minutes: float) -> None:
    """Let everything be longer ago; what waits in the queue falls due."""
    past = timedelta(minutes=minutes)
    for operation in Operation.objects.all():
        fields = {
            name: value - past
            for name in ("requested_at", "started_at", "deadline", "not_before")
            if (value := getattr(operation, name))
        }
        Operation.objects.filter(pk=operation.pk).update(**fields)
    for row in OrmQ.objects.all():
        OrmQ.objects.filter(pk=row.pk).update(lock=row.lock - past)


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def killed_in(operation: Operation) -> None:
    """Let a worker carry the operation on and be killed in the middle of it."""
    OrmQ.objects.all().delete()
    with pytest.raises(Killed):
        tasks.run_operation(operation.pk)
