"""Asking once more for what has failed."""

from django.apps import apps
from django.db import models, transaction

from medstack.failures import Failure
from medstack.models import Event, Operation
from medstack.models.events import Actor
from medstack.operations import register, start


def can_retry(operation: Operation) -> bool:
    """Say whether the same may be asked for once more.

    Where a failure is undone, nothing is left to go on with: its own form asks for it anew.
    """
    kind = register.kinds.get(operation.kind)
    failed = operation.state == Operation.State.FAILED
    return bool(failed and kind and kind.on_failure is None)


@transaction.atomic
def retry(operation: Operation, *, by: Actor) -> Operation:
    """Start a failed operation once more, unless something newer was asked for since."""
    if not can_retry(operation):
        raise Failure("What it had begun was undone; ask for it on its own page.")
    newer = Operation.objects.filter(
        target_kind=operation.target_kind, target_id=operation.target_id, pk__gt=operation.pk
    )
    if found := newer.first():
        raise Failure(f"Something newer was asked for since: {found}.")
    again = start(
        operation.kind,
        target_of(operation),
        by=by,
        company=operation.company,
        cluster_id=operation.cluster_id,
        intent=operation.intent,
        exclusive=operation.exclusive,
    )
    Event.objects.record(
        "operation.retried",
        again,
        by=by,
        company=operation.company,
        cluster_id=operation.cluster_id,
    )
    return again


def target_of(operation: Operation) -> models.Model:
    """Return the row that an operation is about."""
    for model in apps.get_models():
        if model._meta.model_name == operation.target_kind:
            found = model._default_manager.filter(pk=operation.target_id).first()
            if found is not None:
                return found
    raise Failure(f"{operation.target_name} is not there any more.")
