"""The recovery sheet is handed out once; a new password makes it worthless and brings another."""

import json
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.urls import reverse

from backups import opening, recovery, restic
from backups.models import Repository
from backups.restic import keys
from backups.tasks import repository as repositories
from clusters.models import Cluster
from medstack import operations
from medstack.models import Event, Operation, User
from tests.pages import SignIn, carried
from tests.repositories.conftest import Waiting


@pytest.fixture
def row(cluster: Cluster, settings: LazySettings, tmp_path: Path) -> Repository:
    settings.BACKUPS = True
    settings.REPOSITORIES_ROOT = tmp_path / "repositories"
    settings.STATE_DIR = tmp_path
    # No Engine is behind it: there is nobody to be told.
    Cluster.objects.filter(pk=cluster.pk).update(swarm_id="")
    made = repositories.create_embedded(cluster)
    assert made
    repositories.initialise(made.pk)
    made.refresh_from_db()
    return made


def sheet_of(client_for: SignIn, user: User, row: Repository, status: int = 200) -> str:
    url = reverse("recovery_sheet", args=[row.cluster.slug])
    answer = client_for(user).post(url, {"confirmation": row.cluster.name})
    assert answer.status_code == status, answer.text
    return str(answer.text)


def test_a_sheet_is_downloaded_once_and_by_whom_is_recorded(
    row: Repository, owner: User, client_for: SignIn
) -> None:
    url = reverse("recovery_sheet", args=[row.cluster.slug])
    client = client_for(owner)
    assert client.post(url, {"confirmation": "another"}).status_code == 422
    sheet = client.post(url, {"confirmation": row.cluster.name})
    assert sheet.headers["Content-Disposition"].startswith("attachment")
    assert "no-store" in sheet.headers["Cache-Control"]
    assert recovery.parse(sheet.text).repository == opening.for_console(row)

    refused = sheet_of(client_for, owner, row, 422)
    assert "downloaded already" in refused
    assert row.password not in refused
    shown = client.get(url).text
    assert str(owner) in shown and "It can be downloaded once" in shown
    assert "Download the sheet" not in shown
    event = Event.objects.get(action="repository.sheet_downloaded")
    assert event.actor == owner


def test_a_new_password_makes_the_lost_sheet_worthless_and_the_new_one_opens_everything(
    row: Repository, owner: User, client_for: SignIn, tmp_path: Path
) -> None:
    (tmp_path / "note").write_text("kept")
    restic.backup(opening.for_console(row), [tmp_path / "note"], host="one")
    lost = recovery.parse(sheet_of(client_for, owner, row)).repository
    client = client_for(owner)
    url = reverse("new_password", args=[row.cluster.slug])
    assert "opens nothing any more" in client.get(url).text
    assert client.post(url).status_code == 302
    operation = carried(row.cluster)
    assert operation.state == "done", operation.error

    with pytest.raises(restic.WrongPassword):
        restic.exists(lost)
    found = recovery.parse(sheet_of(client_for, owner, row)).repository
    assert found.password != lost.password
    (key,) = (opening.folder(row) / "keys").iterdir()
    assert json.loads(key.read_bytes())["N"] == keys.COST["N"]
    assert len(restic.snapshots(found)) == 1
    row.refresh_from_db()
    assert row.next_password == ""
    kept = str([*Event.objects.values(), *Operation.objects.values()])
    assert found.password not in kept and lost.password not in kept


def test_a_change_of_password_that_broke_off_goes_on_with_the_same_one(
    row: Repository, owner: User, client_for: SignIn
) -> None:
    url = reverse("new_password", args=[row.cluster.slug])
    client_for(owner).post(url)
    # A worker that died after the storage had it, before the row said so.
    row.refresh_from_db()
    restic.add_password(opening.for_console(row), row.next_password)
    coming = row.next_password
    assert carried(row.cluster).state == "done"
    row.refresh_from_db()
    assert (row.password, row.next_password) == (coming, "")
    assert len(list((opening.folder(row) / "keys").iterdir())) == 1


def test_who_backs_up_meanwhile_keeps_the_former_password_alive_until_it_is_done(
    row: Repository, owner: User, client_for: SignIn
) -> None:
    former = opening.for_console(row)
    client_for(owner).post(reverse("new_password", args=[row.cluster.slug]))
    operation = Operation.objects.get(kind="repository.password")
    backup = Waiting(former)
    try:
        assert backup.under_way.wait(30)
        operations.advance(operation.pk)
        operation.refresh_from_db()
        assert operation.is_active and "locked" in operation.detail
        assert restic.exists(former)
    finally:
        backup.finish()
    assert isinstance(backup.outcome, restic.Summary)
    assert carried(row.cluster).state == "done"
    with pytest.raises(restic.WrongPassword):
        restic.exists(former)
