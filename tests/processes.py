"""Carry operations on whose work is done by processes beside them."""

import json
import time

from backups import long_run
from medstack import operations
from medstack.models import Operation


def run(operation: Operation, *, seconds: float = 60) -> Operation:
    """Carry an operation on to its end."""
    until = time.monotonic() + seconds
    while Operation.objects.get(pk=operation.pk).is_active:
        assert time.monotonic() < until, Operation.objects.get(pk=operation.pk).log
        Operation.objects.filter(pk=operation.pk).update(not_before=None)
        operations.advance(operation.pk)
        wait_for_child()
    return Operation.objects.get(pk=operation.pk)


def wait_for_child() -> None:
    """Wait until no process works on a repository."""
    for path in long_run.path_of("x").parent.glob("restic-*.json"):
        state = json.loads(path.read_text())
        while "pid" in state and long_run.is_alive(state["pid"], state["born"]):
            time.sleep(0.01)
