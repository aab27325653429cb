"""Put tasks into the queue: now, or not before a moment has passed."""

from datetime import timedelta

from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.tasks import async_task


class LaterBroker(ORM):  # type: ignore[misc]
    """Enqueue with the row's lock in the future: nobody takes it before then.

    A task that has to wait for the world returns and comes back this way, so no worker sleeps.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(list_key=Conf.PREFIX)
        self.seconds = seconds

    def enqueue(self, task: str) -> int:
        """Insert the task, invisible for the given seconds."""
        not_before = timezone.now() + timedelta(seconds=self.seconds)
        row = self.get_connection().create(key=self.list_key, payload=task, lock=not_before)
        return int(row.pk)


def enqueue(task: str, pk: int, *, after: float = 0) -> None:
    """Queue a task by its dotted name and its row's id; part of the caller's transaction."""
    async_task(task, pk, broker=LaterBroker(after))


def waiting() -> int:
    """Count the tasks that are due and not yet taken."""
    return int(OrmQ.objects.filter(lock__lte=timezone.now()).count())


def is_waiting(task: str) -> bool:
    """Say whether such a task is due and not yet taken."""
    due = OrmQ.objects.filter(lock__lte=timezone.now()).order_by("pk")
    return any(row.task.get("func") == task for row in due.iterator())
