"""How far a backup is proven stands on every page that shows it, and who takes what is recorded."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.levels import LEVELS, lowest
from backups.models import Restore, Snapshot, VolumeBackup
from clusters.models import Cluster, Node, Volume
from medstack.models import Event, User
from tests.catalogues import filled, protected

LAST = datetime(2026, 10, 1, 12, tzinfo=UTC)
PROOFS: dict[str, dict[str, Any]] = {
    "recorded": {"suspicion": "It has 3 files, and had 3,000."},
    "plausible": {},
    "checked": {"checked_at": LAST},
    "drilled": {"checked_at": LAST, "drilled": "passed"},
    "failed": {"drilled": "passed", "check_error": "A pack is damaged."},
}


@pytest.fixture
def backup(cluster: Cluster, node: Node) -> VolumeBackup:
    """Return the one backup of a volume that is still there."""
    Volume.objects.create(node=node, name="data", observed_at=timezone.now())
    filled(cluster, node, protected(cluster, LAST), first=LAST, hours=1, volumes=("data",))
    return VolumeBackup.objects.get()


@pytest.mark.parametrize("level", PROOFS)
def test_the_level_is_named_on_every_page_that_shows_a_backup(
    browser: Client, cluster: Cluster, node: Node, backup: VolumeBackup, level: str
) -> None:
    VolumeBackup.objects.update(**PROOFS[level])
    restore = Restore.objects.create(
        mode="new", cluster=cluster, snapshot=backup.snapshot, volume_backup=backup, node=node
    )
    word = f">{LEVELS[level].word}</span>"
    for name, *keys in (
        ("snapshots",),
        ("snapshot", backup.snapshot.pk),
        ("coverage",),
        ("volume_backups",),
        ("restore_volume", backup.pk),
        ("restore", restore.pk),
    ):
        page = browser.get(reverse(name, args=[cluster.slug, *keys])).text
        assert word in page, (name, level)
        others = {one.word for key, one in LEVELS.items() if key not in (level, "failed")}
        assert not [one for one in others if f">{one}</span>" in page], (name, level)
    page = browser.get(backup.get_absolute_url()).text
    assert f"{LEVELS[level].word}. {LEVELS[level].meaning}" in page


def test_a_snapshot_is_only_as_well_proven_as_its_least_proven_volume(
    browser: Client, cluster: Cluster, node: Node
) -> None:
    repository = protected(cluster, LAST)
    filled(cluster, node, repository, first=LAST, hours=1, volumes=("a", "b"))
    VolumeBackup.objects.filter(volume_name="a").update(drilled="passed")
    page = browser.get(reverse("snapshots", args=[cluster.slug])).text
    assert ">Plausible</span>" in page and ">Drilled</span>" not in page
    assert lowest(["drilled", "", "failed", "checked"]) == "failed"
    assert lowest(["", ""]) == ""


def test_taking_a_manifest_or_the_report_of_a_restore_is_recorded(
    browser: Client, cluster: Cluster, backup: VolumeBackup, operator: User
) -> None:
    Snapshot.objects.update(manifest='{"volumes":[]}')
    answer = browser.get(reverse("snapshot_manifest", args=[cluster.slug, backup.snapshot.pk]))
    assert answer.content == b'{"volumes":[]}'
    row = Restore.objects.create(
        mode="environment",
        cluster=cluster,
        snapshot=backup.snapshot,
        result={"report": {"different": 0}},
    )
    answer = browser.get(reverse("restore_report", args=[cluster.slug, row.pk]))
    assert answer.json() == {"different": 0}
    events = Event.objects.filter(action__endswith="_downloaded").order_by("pk")
    assert [(event.action, event.actor) for event in events] == [
        ("snapshot.manifest_downloaded", operator),
        ("restore.report_downloaded", operator),
    ]
