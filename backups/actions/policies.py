"""Every write a person can make to how volumes are backed up, and to who is warned."""

from django.db import transaction

from backups.models import Protection, VolumePolicy
from clusters.actions.nodes import record
from clusters.models import Cluster
from medstack.models.events import Actor

SHOWN = ("excluded_reason", "before_command", "after_command", "freeze", "stop")


@transaction.atomic
def save_policy(row: VolumePolicy, *, by: Actor) -> None:
    """Save how one volume is handled; the agents hear of it within a minute."""
    before = VolumePolicy.objects.filter(pk=row.pk).values(*SHOWN).first()
    row.changed_by = by.user
    row.save()
    after = {name: getattr(row, name) for name in SHOWN}
    record("volume.policy", row, row.cluster, by=by, before=before, after=after)
    # At once, not with the next look.
    Protection.objects.filter(cluster=row.cluster).update(applied_at=None)


@transaction.atomic
def save_recipients(cluster: Cluster, addresses: list[str], *, by: Actor) -> None:
    """Save who is written to when a cluster is not protected."""
    row, _ = Protection.objects.get_or_create(cluster=cluster)
    before, row.recipients = row.recipients, addresses
    row.save(update_fields=["recipients"])
    record("protection.recipients", row, cluster, by=by, before=before, after=addresses)
