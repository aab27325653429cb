"""Tell people when a cluster is not protected: on its pages, in the record and by e-mail."""

import logging
from datetime import datetime

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone

from backups import alarms
from backups.models import Protection, Snapshot
from backups.policy import STOPPED
from backups.schedule import Freshness
from clusters.actions.nodes import record
from medstack.models.events import SYSTEM

logger = logging.getLogger(__name__)


def look_at_ages() -> None:
    """Compare each cluster's last complete snapshot with the promise; tell of every change."""
    if not settings.BACKUPS:
        return
    rows = Protection.objects.exclude(since=None).select_related("cluster__company")
    for row in rows:
        if row.ended_at or row.cluster.company.subscription in STOPPED:
            continue
        complete = Snapshot.objects.filter(cluster=row.cluster, state=Snapshot.State.COMPLETE)
        last = complete.aggregate(last=Max("due"))["last"]
        found = alarms.level(last, row.since, timezone.now())
        if found != row.alarm:
            change(row, found, last)
        elif row.told != row.alarm:
            tell(row, last)


def change(row: Protection, found: Freshness, last: datetime | None) -> None:
    """Record a new level, once, and tell of it."""
    before = row.alarm
    changed = Protection.objects.filter(pk=row.pk, alarm=before).update(
        alarm=found, alarm_since=timezone.now()
    )
    if changed:
        row.alarm = found
        record(f"protection.{found}", row, row.cluster, by=SYSTEM, before=before, after=found)
        tell(row, last)


def tell(row: Protection, last: datetime | None) -> None:
    """Write to the recipients; a mail server that fails is tried again with the next tick."""
    found = Protection.Alarm(row.alarm).value
    path = reverse("snapshots", args=[row.cluster.slug])
    letter = alarms.letter(row.cluster.name, found, last, f"{settings.PUBLIC_URL}{path}")
    if row.recipients:
        try:
            send_mail(letter.subject, letter.body, settings.DEFAULT_FROM_EMAIL, row.recipients)
        except OSError as error:
            logger.warning("The alarm of %s was not sent: %s", row.cluster, error)
            return
    Protection.objects.filter(pk=row.pk).update(told=found)
