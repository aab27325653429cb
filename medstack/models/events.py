"""The audit record: who did what, when, from where, and what it changed."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.db import models, transaction
from django.db.models import Q

from medstack.models.people import Company, User


@dataclass(frozen=True)
class Actor:
    """The one who acts: a user at an address, a token of theirs, or the console itself."""

    user: User | None = None
    address: str | None = None
    is_support: bool = False
    token: str = ""

    @property
    def name(self) -> str:
        """Return the name that the record keeps even if the user is renamed later."""
        if self.user is None:
            return "MedStack Control"
        if self.is_support:
            return f"{self.user.email[:238]} (support staff)"
        return f"{self.user.email[:180]} (token {self.token})" if self.token else self.user.email


SYSTEM = Actor()


def seal(company_id: int | None) -> None:
    """Seal a company's new records."""
    from medstack import sealing

    sealing.seal(company_id)


class EventManager(models.Manager["Event"]):
    """Write events; nothing else may."""

    def record(
        self,
        action: str,
        subject: models.Model | None,
        *,
        by: Actor,
        company: Company | None,
        cluster_id: int | None = None,
        before: Any = None,
        after: Any = None,
    ) -> "Event":
        """Record one act; `before` and `after` are JSON and never hold a secret's value."""
        event = self.create(
            action=action,
            subject_kind=(subject._meta.model_name or "") if subject else "",
            subject_id=subject.pk if subject else None,
            subject_name=str(subject)[:200] if subject else "",
            company=company,
            cluster_id=cluster_id,
            actor=by.user,
            actor_name=by.name,
            address=by.address,
            before=before,
            after=after,
        )
        # Not before it is there for good; what is not sealed then, the tick seals.
        transaction.on_commit(partial(seal, event.company_id), robust=True)
        return event


class Event(models.Model):
    """An audit record; a database trigger refuses to change or delete it."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    action = models.CharField(max_length=60)
    company = models.ForeignKey(Company, models.PROTECT, null=True, related_name="events")
    cluster = models.ForeignKey(
        "clusters.Cluster", models.PROTECT, null=True, related_name="events"
    )
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="events")
    actor_name = models.CharField(max_length=254)
    address = models.GenericIPAddressField("from", null=True)
    subject_kind = models.CharField(max_length=40, blank=True)
    subject_id = models.BigIntegerField(null=True)
    subject_name = models.CharField(max_length=200, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    objects: ClassVar[EventManager] = EventManager()

    class Meta:
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=("company", "-id"), name="event_by_company"),
            models.Index(fields=("cluster", "-id"), name="event_by_cluster"),
            models.Index(fields=("subject_kind", "subject_id", "-id"), name="event_by_subject"),
            # Few among millions: whose backups were deleted when the subscription had ended.
            models.Index(
                fields=("company", "-id"),
                condition=Q(action="subscription.purged"),
                name="event_of_the_end",
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.subject_name}".strip()


class Seal(models.Model):
    """A link of a company's chain of audit records; the database refuses to change it, too.

    The records of no company have a chain of their own.
    """

    event = models.OneToOneField(Event, models.PROTECT, related_name="seal")
    company = models.ForeignKey(Company, models.PROTECT, null=True, related_name="seals")
    number = models.PositiveBigIntegerField(help_text="Its place in the chain, from 1.")
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("company", "number")
        constraints = (
            models.UniqueConstraint(fields=("company", "number"), name="seal_number_once"),
            models.UniqueConstraint(
                fields=("number",),
                condition=models.Q(company=None),
                name="seal_number_once_without_company",
            ),
        )

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"
