"""What a restored environment leaves in the console: its own objects, not a stranger's."""

from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from backups.actions import environment as actions
from backups.models import VolumePolicy
from backups.parts import VolumePart
from backups.wanted import Place
from clusters.models import Certificate, Cluster, Config, Secret, Service
from medstack.models import Event
from medstack.models.events import SYSTEM
from tests.authorities import issue
from tests.running import spec_of
from tests.test_plan import part

Json = dict[str, Any]
PLACE = Place("new-1", "id1", "host-1")


def spec(name: str, base: str = "") -> Json:
    return {"Name": name, "Labels": {"medstack.name": base} if base else {}}


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True), st.integers(2, 99999))
def test_the_label_says_which_version_of_what_an_object_is(base: str, version: int) -> None:
    assert actions.logical(spec(base, base)) == (base, 1)
    assert actions.logical(spec(f"{base}-v{version}", base)) == (base, version)
    # Without the label it is another's, whatever its name looks like.
    assert actions.logical(spec(f"{base}-v{version}")) == (f"{base}-v{version}", 1)
    assert actions.logical(spec(f"{base}-other", base)) == (f"{base}-other", 1)


def test_versions_come_back_as_versions_and_only_the_newest_is_current(cluster: Cluster) -> None:
    for name, newest in (("key", False), ("key-v2", True)):
        actions.restored_version(Secret, cluster, spec(name, "key"), is_newest=newest, by=SYSTEM)
    rows = Secret.objects.present().filter(cluster=cluster, name="key")
    assert {row.version: row.is_current for row in rows} == {1: False, 2: True}
    assert not any(row.is_external or row.pending_value for row in rows)
    again = actions.restored_version(
        Secret, cluster, spec("key-v2", "key"), is_newest=True, by=SYSTEM
    )
    assert again.pk in {row.pk for row in rows}
    assert Event.objects.filter(action="secret.restored").count() == 2


def test_a_config_comes_back_with_its_content(cluster: Cluster) -> None:
    found = spec("conf", "conf") | {"Data": "aGVsbG8="}
    row = actions.restored_version(Config, cluster, found, is_newest=True, by=SYSTEM)
    assert isinstance(row, Config)
    assert (bytes(row.data), row.size_bytes) == (b"hello", 5)


@pytest.mark.parametrize(
    ("image", "left"),
    [
        ("team/app:1@sha256:1", "team/app:1"),
        ("registry.example.com:5000/app@sha256:1", "registry.example.com:5000/app@sha256:1"),
        ("team/app:1", "team/app:1"),
    ],
)
def test_the_wanted_image_is_the_tag_again_where_there_is_one(
    cluster: Cluster, image: str, left: str
) -> None:
    row = Service.objects.create(cluster=cluster, name="web", spec=spec_of(image=image))
    actions.forget_digest(row)
    row.refresh_from_db()
    assert row.spec["TaskTemplate"]["ContainerSpec"]["Image"] == left
    assert row.generation == 1


EXCLUDED = VolumePart(node="old", volume="cache", state="excluded", reason="A cache.")


def test_how_a_volume_is_backed_up_goes_with_it_unless_that_was_decided_here(
    cluster: Cluster,
) -> None:
    actions.restore_policy(cluster, EXCLUDED, PLACE, {}, by=SYSTEM)
    actions.restore_policy(cluster, part("old", "db"), PLACE, {"before": "dump"}, by=SYSTEM)
    actions.restore_policy(cluster, part("old", "plain"), PLACE, {}, by=SYSTEM)
    found = {row.volume_name: row for row in VolumePolicy.objects.filter(node_name="new-1")}
    assert set(found) == {"cache", "db"}
    assert (found["cache"].excluded_reason, found["db"].before_command) == ("A cache.", "dump")
    actions.restore_policy(cluster, part("old", "db"), PLACE, {"before": "other"}, by=SYSTEM)
    assert VolumePolicy.objects.get(volume_name="db").before_command == "dump"
    assert Event.objects.filter(action="volume_policy.restored").count() == 2


def certificate_on(cluster: Cluster, name: str) -> Config:
    """Make what an uploaded certificate is on the swarm: a config with its chain, and a secret."""
    Secret.objects.create(cluster=cluster, name=f"certificate-{name}-key", engine_id="s")
    return Config.objects.create(
        cluster=cluster,
        name=f"certificate-{name}",
        engine_id="c",
        data=issue("Shop", domains=("shop.example",)).pem.encode(),
    )


def test_uploaded_certificates_are_known_again_and_lost_ones_hold_nothing_up(
    cluster: Cluster,
) -> None:
    certificate_on(cluster, "shop")
    Certificate.objects.create(
        cluster=cluster,
        name="lost",
        chain="",
        not_after=timezone.now(),
        config_name="certificate-lost",
        secret_name="certificate-lost-key",
    )
    actions.restore_certificates(cluster, by=SYSTEM)
    row = Certificate.objects.get()
    assert (row.name, row.secret_name) == ("shop", "certificate-shop-key")
    assert row.is_good_for("shop.example")
