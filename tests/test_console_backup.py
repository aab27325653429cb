"""Backups of the console itself: whole or refused, and of no use without the keys."""

import io
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from backups import restic
from backups.console import database, saving
from backups.console.target import repository_of
from backups.management.commands.backup_console import Command, until_next
from backups.server import serving
from clusters.models import Cluster, Node
from medstack import chain, sealing
from medstack.failures import Failure
from medstack.models import Company, Event, User
from medstack.models.events import SYSTEM
from medstack.sheet import BadSheet, parse_console

PASSWORD = "a-long-password-of-the-repository"


@pytest.fixture(autouse=True)
def database_of_its_own(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[None]:
    """Use a copy of the empty database: these tests replace a whole one, audit record included."""
    original, copy = connection.settings_dict["NAME"], f"copy_{os.getpid()}"
    with django_db_blocker.unblock():
        connection.close()
        if connection.vendor == "sqlite":
            copy = str(tmp_path / "db.sqlite3")
            with (
                closing(sqlite3.connect(original)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        else:
            administer(f'CREATE DATABASE "{copy}" TEMPLATE "{original}"')
        connection.settings_dict["NAME"] = copy
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = original
            if connection.vendor != "sqlite":
                administer(f'DROP DATABASE "{copy}" WITH (FORCE)')


def administer(command: str) -> None:
    """Do something to PostgreSQL's databases from outside of them."""
    where = {**database.server(), "PGDATABASE": "postgres"}
    subprocess.run(
        ["psql", "--no-psqlrc", "--quiet", f"--command={command}"],
        env={**os.environ, **where},
        check=True,
    )


@pytest.fixture(autouse=True)
def where(database_of_its_own: None, settings: LazySettings, tmp_path: Path) -> Path:
    """Back up into a folder, with keys and an embedded repository's server of the test's own."""
    file = tmp_path / "backup.json"
    file.write_text(json.dumps({"url": str(tmp_path / "store"), "password": PASSWORD}))
    settings.CONSOLE_BACKUP_FILE = str(file)
    settings.REPOSITORIES_ROOT = tmp_path / "repositories"
    serving.authority()
    return tmp_path


@pytest.fixture
def clinic() -> Cluster:
    company = Company.objects.create(name="Northside Clinic")
    cluster = Cluster.objects.create(company=company, name="Production", slug="production")
    Node.objects.create(cluster=cluster, name="node-1", ssh_key="a private key")
    Event.objects.record("cluster.created", cluster, by=SYSTEM, company=company)
    return cluster


def said(*arguments: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_console_comes_back_as_it_was(clinic: Cluster, where: Path) -> None:
    said("backup_console")
    authority = (serving.inner() / "authority.key").read_text()
    # What a console loses with its machine, and what a new one makes of its own.
    (serving.inner() / "authority.key").write_text("another")
    Cluster.objects.create(company=clinic.company, name="Later", slug="later")
    sheet = where / "sheet"
    sheet.write_text(said("console_sheet"))

    told = said("restore_console", "--sheet", sheet, "--replace")

    assert "clusters: 1 (1 when it was backed up)" in told
    assert [one.name for one in Cluster.objects.all()] == ["Production"]
    assert Node.objects.get().ssh_key == "a private key"
    assert (serving.inner() / "authority.key").read_text() == authority
    assert Event.objects.filter(action="console.restored").exists()
    for company in (clinic.company_id, None):
        sealing.seal(company)
        assert not list(chain.faults(sealing.links(company), {}))
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("DELETE FROM medstack_event")


def test_a_restored_console_is_backed_up_and_restored_again(clinic: Cluster) -> None:
    said("backup_console")
    said("restore_console", "--replace")
    said("backup_console")
    said("restore_console", "--replace")
    assert Cluster.objects.get().name == "Production"


def test_no_sign_in_and_no_queue_comes_back(clinic: Cluster) -> None:
    call_command("clearsessions")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_session VALUES ('key', 'of somebody', '2099-01-01 00:00:00+00:00')"
        )
    said("backup_console")
    said("restore_console", "--replace")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_session")
        assert cursor.fetchone() == (0,)


def test_the_backup_holds_no_key_and_the_sheet_holds_all(clinic: Cluster, where: Path) -> None:
    said("backup_console")
    repository = restic.Repository(str(where / "store"), PASSWORD)
    stored = b"".join(
        b"".join(restic.dump(repository, one.id, path))
        for one in restic.snapshots(repository)
        for path in one.paths
    )
    sheet = parse_console(said("console_sheet"))
    assert b"Northside Clinic" in stored
    for key in sheet.keys.values():
        for line in key.splitlines():
            assert line.startswith("-----") or line.encode() not in stored
    assert b"a private key" not in stored
    assert sheet.backup["password"] == PASSWORD
    assert PASSWORD not in str(list(Event.objects.values_list("after", flat=True)))


def test_a_mistyped_sheet_is_refused(where: Path) -> None:
    text = said("console_sheet")
    wrong = text.replace("\n7b", "\n7c", 1)
    assert wrong != text
    with pytest.raises(BadSheet, match="check digits"):
        parse_console(wrong)


def test_the_keys_come_from_the_sheet_and_never_over_others(
    where: Path, settings: LazySettings
) -> None:
    sheet = where / "sheet"
    sheet.write_text(said("console_sheet"))
    original = Path(settings.FIELD_KEYS_FILE).read_text()
    settings.SECRET_KEY_FILE = where / "new" / "secret_key"
    settings.FIELD_KEYS_FILE = where / "new" / "field_keys"
    settings.SIGNING_KEY_FILE = where / "new" / "signing_key"
    said("init_keys", "--sheet", sheet)
    assert settings.FIELD_KEYS_FILE.read_text() == original
    assert settings.FIELD_KEYS_FILE.stat().st_mode & 0o077 == 0
    settings.FIELD_KEYS_FILE.write_text("mine")
    said("init_keys", "--sheet", sheet)
    assert settings.FIELD_KEYS_FILE.read_text() == "mine"
    assert said("init_keys", "--sheet", sheet, "--print", "field_keys").strip() == original.strip()


def refusal(*arguments: Any) -> str:
    with pytest.raises(CommandError) as refused:
        said("restore_console", *arguments)
    return str(refused.value)


def test_a_console_that_somebody_uses_is_not_replaced_by_mistake(clinic: Cluster) -> None:
    said("backup_console")
    User.objects.create_user("olive@northside.example", "a-good-long-password")
    assert "has people already" in refusal()
    assert User.objects.exists()


def test_other_field_keys_are_refused_before_anything_changes(
    clinic: Cluster, settings: LazySettings
) -> None:
    said("backup_console")
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert "other field keys" in refusal("--replace")
    settings.FIELD_KEYS = []
    assert Cluster.objects.exists()


def test_a_backup_of_a_newer_version_is_refused(
    clinic: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "migrations", lambda: ["clusters.9999_from_the_future"])
    said("backup_console")
    assert "newer version" in refusal("--replace")


def test_what_is_damaged_changes_nothing(clinic: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # The manifest says another digest than what is stored has.
    monkeypatch.setattr(saving.Summed, "read", lambda self, size: self.source.read(size))
    said("backup_console")
    assert "damaged" in refusal("--replace")
    assert Cluster.objects.get().name == "Production"


def test_only_what_is_whole_counts_as_a_backup(
    clinic: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, size: int) -> bytes:
        raise Failure("The database went away.")

    monkeypatch.setattr(saving.Summed, "read", broken)
    with pytest.raises(CommandError, match="went away"):
        said("backup_console")
    assert "no backup of a console" in refusal("--replace")


def test_a_new_console_never_is_the_newest_backup_of_the_lost_one(where: Path) -> None:
    with pytest.raises(CommandError, match="nothing to back up"):
        said("backup_console")
    assert Command(stdout=io.StringIO()).attempt() == timedelta(minutes=1)
    assert not (where / "store").exists()
    assert not Event.objects.filter(action="console.backup_failed").exists()


def test_a_failure_is_recorded_once_and_tried_again_soon(
    clinic: Cluster, settings: LazySettings
) -> None:
    settings.CONSOLE_BACKUP_FILE = "/nonexistent"
    command = Command(stdout=io.StringIO())
    assert command.attempt() == command.attempt() == timedelta(minutes=5)
    assert Event.objects.filter(action="console.backup_failed").count() == 1


@pytest.mark.parametrize(
    ("now", "minutes"), [("10:39", 1), ("10:40", 60), ("10:41", 59), ("23:50", 50)]
)
def test_backups_are_due_between_the_hours_snapshots(now: str, minutes: int) -> None:
    moment = datetime.fromisoformat(f"2026-11-26T{now}+00:00")
    assert until_next(moment) == timedelta(minutes=minutes)


def test_old_backups_are_forgotten_by_the_rules_of_snapshots(clinic: Cluster, where: Path) -> None:
    made = saving.back_up(timezone.now() - timedelta(hours=2)).made
    newest = saving.back_up(timezone.now()).made
    # restic notes when it ran, so both are of this hour, day, week and month: seen from a year
    # later, only the newest is its month's final one.
    assert saving.forget_old(datetime.now(UTC) + timedelta(days=365)) == 1
    listed = said("restore_console", "--list").split()
    assert (listed, made in listed) == ([newest], False)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "need url and password"),
        ({"url": "/x"}, "need url and password"),
        ({"url": "/x", "password": "p", "colour": "red"}, "may have"),
        ({"url": "/x", "password": " p"}, "blanks"),
    ],
)
def test_a_target_that_cannot_be_used_says_why(values: Any, words: str) -> None:
    with pytest.raises(Failure, match=words):
        repository_of(values)


def test_the_database_s_password_is_in_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "of the database")
    assert database.server()["PGPASSWORD"] == "of the database"


def test_prepare_brings_an_empty_database_up_to_date_and_may_run_again() -> None:
    said("prepare")
    said("prepare")
    assert set(saving.migrations())
