"""A cluster's embedded repository is made once and whole, whoever makes it at the same time."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.urls import reverse

from backups import opening, restic
from backups.models import Repository
from backups.restic import keys
from backups.tasks import repository as repositories
from clusters.models import Cluster
from medstack.models import User
from tests.pages import SignIn, carried

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


def test_a_generated_password_opens_it_without_the_computation_that_a_typed_one_needs(
    row: Repository,
) -> None:
    repositories.initialise(row.pk)
    folder, typed = opening.folder(row), "typed-by-a-person"
    (key,) = costs(folder)
    assert key == keys.COST["N"]
    restic.add_password(opening.for_console(row), typed)
    # Neither the password that is too short for it, nor the key of another one, is touched.
    keys.ease(folder, typed)
    keys.ease(folder, row.password)
    quick, slow = costs(folder)
    assert (quick, slow >= 1 << 14) == (keys.COST["N"], True)
    for password in (row.password, typed):
        opened = restic.Repository(str(folder), password)
        (folder.parent / "note").write_text(password)
        restic.backup(opened, [folder.parent / "note"], host="one")
        restic.check(opened, subset=(1, 1))
    assert len(restic.snapshots(opened)) == 2


def costs(folder: Path) -> list[int]:
    """Return how often each of a repository's keys goes through scrypt, the quickest first."""
    return sorted(json.loads(one.read_bytes())["N"] for one in (folder / "keys").iterdir())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("restic 0.9.6 compiled with go1.13", "is restic 0.9; 0.14"),
        ("restless 7", "says no version"),
    ],
)
def test_an_unknown_restic_is_refused_before_it_touches_anything(
    row: Repository,
    owner: User,
    client_for: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    said: str,
    words: str,
) -> None:
    repositories.initialise(row.pk)
    before = seen(row)
    (tmp_path / "restic").write_text(f"#!/bin/sh\necho {said}\n")
    (tmp_path / "restic").chmod(0o755)
    with monkeypatch.context() as changed:
        changed.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        client_for(owner).post(reverse("test_repository", args=[row.cluster.slug]))
        operation = carried(row.cluster)
    assert operation.state == "failed"
    assert words in operation.error
    assert words in client_for(owner).get(reverse("repository", args=[row.cluster.slug])).text
    assert seen(row) == before


def seen(row: Repository) -> dict[Path, tuple[int, int]]:
    """Return what a repository's folder holds, and when it was changed."""
    found = opening.folder(row).rglob("*")
    return {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in found}


def test_a_folder_that_holds_something_else_is_left_alone_and_named(row: Repository) -> None:
    other = opening.folder(row) / "keys"
    other.mkdir(parents=True)
    (other / "left-behind").write_text("a key without its config")
    repositories.initialise(row.pk)
    row.refresh_from_db()
    assert "holds something else" in row.test_error
    assert row.initialised_at is None
    assert (other / "left-behind").exists()
