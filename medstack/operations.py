"""Start operations and carry them on, step by step, until they end.

A step is level-triggered: it looks at the world, does what is missing, and may run any number of
times. A worker that dies loses nothing: the lease runs out and the tick queues the operation
again, and it goes on at the first step that had not finished.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from medstack.failures import Failure, Transient
from medstack.models import Event, Operation
from medstack.models.events import SYSTEM, Actor
from medstack.models.people import Company
from medstack.queue import enqueue

logger = logging.getLogger(__name__)

# A step is short; past this time its worker is taken for dead and another carries on.
LEASE = timedelta(seconds=30)
# So often a step is begun without coming back before it is given up, once its time is over.
ATTEMPTS = 2
RUN = "medstack.tasks.run_operation"


@dataclass(frozen=True)
class Waiting:
    """A step's answer when the world is not there yet."""

    detail: str
    fraction: float = 0.0
    again_in: float = 1.0


@dataclass(frozen=True)
class Step:
    """One visible part of an operation."""

    title: str
    run: Callable[[Operation], Waiting | None]


@dataclass(frozen=True)
class Kind:
    """What an operation of this kind does, and what to do when it cannot."""

    title: str
    steps: Sequence[Step]
    within: timedelta = timedelta(minutes=10)
    on_failure: Callable[[Operation], None] | None = None
    cancellable: bool = False


@dataclass
class Register:
    """All kinds of operation that this installation knows."""

    kinds: dict[str, Kind] = field(default_factory=dict)

    def add(self, name: str, kind: Kind) -> None:
        """Make a kind known under its name."""
        self.kinds[name] = kind

    def extend(self, name: str, *, first: Step | None = None, last: Step | None = None) -> None:
        """Let another app add its part to a kind that it did not make."""
        kind = self.kinds[name]
        steps = (*([first] if first else []), *kind.steps, *([last] if last else []))
        self.kinds[name] = replace(kind, steps=steps)


register = Register()


class AlreadyRunning(Failure):
    """Refuse a second operation where only one may run."""


def start(
    name: str,
    target: models.Model,
    *,
    by: Actor,
    company: Company | None,
    cluster_id: int | None,
    intent: dict[str, Any] | None = None,
    exclusive: str = "",
) -> Operation:
    """Create and queue an operation inside the caller's transaction."""
    kind = register.kinds[name]
    try:
        with transaction.atomic():
            operation = Operation.objects.create(
                kind=name,
                title=kind.title,
                company=company,
                cluster_id=cluster_id,
                target_kind=target._meta.model_name or "",
                target_id=target.pk,
                target_name=str(target)[:200],
                intent=intent or {},
                exclusive=exclusive,
                steps=[step.title for step in kind.steps],
                requested_by=by.user,
                deadline=timezone.now() + kind.within,
            )
    except IntegrityError:
        running = Operation.objects.filter(exclusive=exclusive, state__in=Operation.ACTIVE).first()
        what = f"“{running}” is still running" if running else "Another operation is running"
        raise AlreadyRunning(f"{what}; wait until it has ended.") from None
    enqueue(RUN, operation.pk)
    return operation


def advance(pk: int) -> None:
    """Carry one operation on until it waits or ends. Safe to run beside itself."""
    now = timezone.now()
    mine = (
        Operation.objects.filter(pk=pk, state__in=Operation.ACTIVE)
        .filter(Q(not_before=None) | Q(not_before__lte=now))
        .update(
            state=Operation.State.RUNNING,
            not_before=now + LEASE,
            started_at=Coalesce("started_at", now),
            attempts=F("attempts") + 1,
        )
    )
    if not mine:
        return
    operation = Operation.objects.get(pk=pk)
    kind = register.kinds.get(operation.kind)
    if kind is None:
        end(operation, error=f"This version of the console cannot do “{operation.kind}”.")
        return
    while operation.step < len(kind.steps):
        if operation.cancel_requested_by and kind.cancellable:
            error = f"Cancelled by {operation.cancel_requested_by}."
            end(operation, error=error, on_failure=kind.on_failure)
            return
        try:
            waiting = attempt(operation, kind.steps[operation.step])
        except Failure as error:
            end(operation, error=str(error), on_failure=kind.on_failure)
            return
        if waiting is None:
            operation.step += 1
        elif waiting.detail and waiting.detail != operation.detail:
            note(operation, waiting.detail)
        if not progress(operation, waiting, of=len(kind.steps)):
            return
        if waiting:
            enqueue(RUN, operation.pk, after=waiting.again_in)
            return
    end(operation)


def attempt(operation: Operation, step: Step) -> Waiting | None:
    """Run one step; what may pass by itself becomes a wait, until the deadline."""
    try:
        waiting = step.run(operation)
    except Transient as error:
        waiting = Waiting(str(error), again_in=2)
    except Failure:
        raise
    except Exception as error:
        # Whatever breaks, the person who waits must read an end.
        logger.exception("Operation %s broke in step %r", operation.pk, step.title)
        raise Failure(
            f"Unexpected error ({type(error).__name__}); the log has the details."
        ) from error
    if waiting and timezone.now() >= operation.deadline:
        raise Failure(f"Gave up waiting. Last seen: {waiting.detail}")
    return waiting


def progress(operation: Operation, waiting: Waiting | None, *, of: int) -> bool:
    """Save how far it is; False when another worker has taken the operation over."""
    lease = operation.not_before
    pause = timedelta(seconds=waiting.again_in) if waiting else LEASE
    operation.not_before = timezone.now() + pause
    operation.detail = waiting.detail[:500] if waiting else ""
    operation.attempts = 0 if waiting else 1
    done = operation.step + (min(waiting.fraction, 1) if waiting else 0)
    operation.percentage = int(100 * done / of)
    fields = ("step", "detail", "percentage", "intent", "log", "not_before", "attempts")
    return bool(
        Operation.objects.filter(pk=operation.pk, not_before=lease).update(
            **{name: getattr(operation, name) for name in fields}
        )
    )


def note(operation: Operation, line: str) -> None:
    """Add one line to the operation's log."""
    operation.log += f"{timezone.now():%H:%M:%S} {line}\n"


@transaction.atomic
def end(
    operation: Operation,
    *,
    error: str = "",
    on_failure: Callable[[Operation], None] | None = None,
) -> None:
    """End an operation, once, and record how; one who lost the hold on it ends nothing."""
    state = Operation.State.FAILED if error else Operation.State.DONE
    mine = Operation.objects.filter(
        pk=operation.pk, state__in=Operation.ACTIVE, not_before=operation.not_before
    )
    changed = mine.update(
        state=state,
        ended_at=timezone.now(),
        error=error,
        not_before=None,
        detail="",
        percentage=operation.percentage if error else 100,
        intent=operation.intent,
        log=operation.log,
    )
    if not changed:
        return
    operation.error = error
    if error and on_failure and not undone(operation, on_failure):
        error += " What was begun could not be undone; the log has the details."
    if error:
        # What undoing it had to say belongs to it, too.
        Operation.objects.filter(pk=operation.pk).update(error=error, log=operation.log)
    Event.objects.record(
        f"operation.{state}",
        operation,
        by=SYSTEM,
        company=operation.company,
        cluster_id=operation.cluster_id,
        after={"kind": operation.kind, **({"error": error} if error else {})},
    )


@transaction.atomic
def cancel(operation: Operation, *, by: Actor) -> None:
    """Ask an operation to end; what it has begun is undone as after a failure."""
    kind = register.kinds.get(operation.kind)
    if kind is None or not kind.cancellable or not operation.is_active:
        raise Failure("This operation cannot be cancelled.")
    asked = Operation.objects.filter(pk=operation.pk, cancel_requested_by="")
    if asked.update(cancel_requested_by=by.name):
        Event.objects.record(
            "operation.cancelled",
            operation,
            by=by,
            company=operation.company,
            cluster_id=operation.cluster_id,
        )
        enqueue(RUN, operation.pk)


def undone(operation: Operation, on_failure: Callable[[Operation], None]) -> bool:
    """Undo what was begun; if that breaks, too, the operation must end all the same."""
    try:
        with transaction.atomic():
            on_failure(operation)
    except Exception:
        logger.exception("Operation %s could not be undone", operation.pk)
        return False
    return True


def resume() -> int:
    """Queue every unfinished operation that nobody carries on; the tick calls this."""
    overdue = timezone.now() - timedelta(seconds=10)
    orphans = Operation.objects.filter(state__in=Operation.ACTIVE).filter(
        Q(not_before__lt=overdue) | Q(not_before=None, requested_at__lt=overdue)
    )
    queued = 0
    for operation in orphans[:500]:
        if cannot_go_on(operation):
            step = operation.steps[operation.step]
            kind = register.kinds.get(operation.kind)
            end(
                operation,
                error=f"Gave up: the worker died in “{step}” again and again.",
                on_failure=kind.on_failure if kind else None,
            )
        else:
            enqueue(RUN, operation.pk)
            queued += 1
    return queued


def cannot_go_on(operation: Operation) -> bool:
    """Say whether a step took its workers with it and there is no time to try it again.

    Without this, a step that kills every worker would be tried for ever.
    """
    tried = operation.attempts >= ATTEMPTS and operation.step < len(operation.steps)
    return tried and timezone.now() >= operation.deadline
