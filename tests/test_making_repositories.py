"""A cluster's embedded repository is made once and whole, whoever makes it at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import LazySettings

from backups import opening, restic
from backups.models import Repository
from backups.tasks import repository as repositories
from clusters.models import Cluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(cluster: Cluster, settings: LazySettings, tmp_path: Path) -> Repository:
    settings.BACKUPS = True
    settings.REPOSITORIES_ROOT = tmp_path / "repositories"
    settings.STATE_DIR = tmp_path
    made = repositories.create_embedded(cluster)
    assert made
    return made


def test_a_repository_that_several_workers_make_at_once_can_be_opened(row: Repository) -> None:
    # restic takes a second or two for each: all of them find nothing when they begin.
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(repositories.make_folder, [row] * 4))
    assert restic.exists(opening.for_console(row))
    assert len(list((opening.folder(row) / "keys").iterdir())) == 1
    assert not list(opening.folder(row).parent.glob(f".{row.folder}*"))


def test_making_it_again_changes_nothing(row: Repository) -> None:
    repositories.initialise(row.pk)
    config = (opening.folder(row) / "config").read_bytes()
    repositories.initialise(row.pk)
    row.refresh_from_db()
    assert (opening.folder(row) / "config").read_bytes() == config
    assert row.initialised_at
    assert row.test_error == ""


def test_a_folder_that_holds_something_else_is_left_alone_and_named(row: Repository) -> None:
    other = opening.folder(row) / "keys"
    other.mkdir(parents=True)
    (other / "left-behind").write_text("a key without its config")
    repositories.initialise(row.pk)
    row.refresh_from_db()
    assert "holds something else" in row.test_error
    assert row.initialised_at is None
    assert (other / "left-behind").exists()
