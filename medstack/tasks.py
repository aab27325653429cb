"""What the queue runs for the whole installation."""

from backups.tasks.due import enqueue_due
from clusters.tasks.domains import enqueue_domain_checks
from clusters.tasks.leftovers import remove_leftovers
from clusters.tasks.refresh import enqueue_refreshes
from medstack import operations, sealing


def run_operation(pk: int) -> None:
    """Carry one operation on. Safe to run any number of times."""
    operations.advance(pk)


def tick(_: int = 0) -> None:
    """Finish whatever is unfinished and look at every cluster. Safe to run any number of times."""
    operations.resume()
    sealing.seal_all()
    enqueue_refreshes()
    enqueue_domain_checks()
    remove_leftovers()
    enqueue_due()
