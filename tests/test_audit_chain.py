"""The chain of audit records: what is changed, removed or cut off is found and named."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from backups.models import Snapshot
from clusters.models import Cluster
from medstack import chain, sealing
from medstack.models import Company, Event, Seal, User
from medstack.models.events import SYSTEM, Actor
from medstack.tasks import tick
from tests.pages import SignIn

PROGRAM = Path(chain.__file__)


@pytest.fixture
def record(company: Company, owner: User) -> list[Event]:
    """Five sealed records."""
    events = [
        Event.objects.record(
            "test.happened", owner, by=Actor(owner), company=company, after={"n": n, "word": "Ä"}
        )
        for n in range(5)
    ]
    assert sealing.seal(company.pk) == 5
    return events


def behind_its_back(*statements: str) -> None:
    """Do what only the owner of the database can: switch the triggers off."""
    triggers = {
        "sqlite": [
            "DROP TRIGGER event_no_update",
            "DROP TRIGGER event_no_delete",
            "DROP TRIGGER seal_no_update",
            "DROP TRIGGER seal_no_delete",
        ],
        "postgresql": [
            "SET CONSTRAINTS ALL IMMEDIATE",
            "SET session_replication_role = replica",
        ],
    }
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA defer_foreign_keys = ON")
        for statement in (*triggers[connection.vendor], *statements):
            cursor.execute(statement)


@pytest.fixture(autouse=True)
def foreign_keys_as_they_were(db: None) -> Iterator[None]:
    yield
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = DEFAULT")


def verdict(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command says about a broken record."""
    with pytest.raises(CommandError, match="not what it was"):
        call_command("verify_events")
    return capsys.readouterr().err


def test_a_record_that_nobody_touched_is_unbroken(
    record: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verify_events")
    assert "Northside Clinic: 5 records, unbroken" in capsys.readouterr().out


def test_a_record_is_sealed_as_soon_as_it_is_there_for_good(
    company: Company, django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[Any]]
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        event = Event.objects.record("test.happened", None, by=SYSTEM, company=company)
        assert not Seal.objects.filter(event=event).exists()
    assert Seal.objects.get(event=event).number == 1


def test_the_tick_seals_what_a_crash_left_unsealed(company: Company) -> None:
    Event.objects.record("test.happened", None, by=SYSTEM, company=company)
    Event.objects.record("test.happened", None, by=SYSTEM, company=None)
    assert sealing.unsealed(company.pk) == 1
    tick()
    assert sealing.unsealed(company.pk) == sealing.unsealed(None) == 0


def test_each_company_has_a_chain_of_its_own(record: list[Event]) -> None:
    other = Company.objects.create(name="Southside")
    Event.objects.record("test.happened", None, by=SYSTEM, company=other)
    sealing.seal(other.pk)
    assert sealing.head(other.pk)["number"] == 1


def test_a_changed_record_is_named(record: list[Event], capsys: pytest.CaptureFixture[str]) -> None:
    behind_its_back(
        f"UPDATE medstack_event SET actor_name = 'somebody else' WHERE id = {record[2].pk}"
    )
    assert "Record 3 was changed" in verdict(capsys)


def test_a_deleted_record_is_named(record: list[Event], capsys: pytest.CaptureFixture[str]) -> None:
    behind_its_back(f"DELETE FROM medstack_event WHERE id = {record[1].pk}")
    said = verdict(capsys)
    assert "Record 2 was deleted" in said
    # So that the database of the tests can be put away.
    behind = Seal.objects.filter(event_id=record[1].pk)
    assert behind.exists()
    forget_seals(record[1].pk)


def test_a_record_deleted_with_its_seal_is_named(
    record: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    behind_its_back(
        f"DELETE FROM medstack_seal WHERE event_id = {record[1].pk}",
        f"DELETE FROM medstack_event WHERE id = {record[1].pk}",
    )
    said = verdict(capsys)
    assert "Record 2 is missing" in said
    assert "Record 3 was changed, or what stands before it was" in said


def test_a_tail_that_was_cut_off_is_named_by_a_manifest(
    record: list[Event], cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.dumps({"anchor": sealing.head(cluster.company_id)})
    Snapshot.objects.create(
        cluster=cluster, due=record[0].at, manifest=manifest, state=Snapshot.State.COMPLETE
    )
    call_command("verify_events")
    assert "1 anchors agree" in capsys.readouterr().out
    pks = f"({record[3].pk}, {record[4].pk})"
    behind_its_back(
        f"DELETE FROM medstack_seal WHERE event_id IN {pks}",
        f"DELETE FROM medstack_event WHERE id IN {pks}",
    )
    said = verdict(capsys)
    assert "The end was cut off: record 5 was written down elsewhere" in said
    assert "the last one here is 3" in said


def test_a_chain_made_anew_is_not_the_one_that_was_written_down(
    record: list[Event], cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.dumps({"anchor": sealing.head(cluster.company_id)})
    Snapshot.objects.create(
        cluster=cluster, due=record[0].at, manifest=manifest, state=Snapshot.State.COMPLETE
    )
    behind_its_back(
        f"UPDATE medstack_event SET actor_name = 'somebody else' WHERE id = {record[0].pk}",
        "DELETE FROM medstack_seal",
    )
    said = verdict(capsys)
    assert "Record 5 is not the one whose hash was written down elsewhere" in said


def test_the_database_refuses_to_change_or_delete_a_seal(record: list[Event]) -> None:
    seals = Seal.objects.filter(event=record[0])
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        seals.update(hash="")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        seals.delete()


def test_an_exported_record_is_checked_without_the_console(
    record: list[Event], client_for: SignIn, owner: User, company: Company, tmp_path: Path
) -> None:
    answer = client_for(owner).post(reverse("export_events", args=[company.pk, "jsonl"]))
    lines = b"".join(answer.streaming_content).decode().splitlines(keepends=True)  # type: ignore[attr-defined]
    head = json.loads(lines[-1])

    def checked(text: list[str], *heads: str) -> tuple[int, str]:
        file = tmp_path / "record.jsonl"
        file.write_text("".join(text))
        # Isolated: neither the console's packages nor its settings are needed.
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(file), *heads]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout

    whole = f"{head['number']}:{head['hash']}"
    assert checked(lines, whole) == (0, f"{len(lines)} records, unbroken.\n")
    code, said = checked([*lines[:2], lines[2].replace("olive", "oscar"), *lines[3:]])
    assert (code, "Record 3 was changed" in said) == (1, True)
    code, said = checked([lines[0], *lines[2:]])
    assert (code, "Record 2 is missing" in said) == (1, True)
    code, said = checked(lines[:-1], whole)
    assert (code, "The end was cut off" in said) == (1, True)
    assert checked(["no JSON"])[0] == 1


def test_an_export_is_an_event_itself_and_needs_a_known_format(
    record: list[Event], client_for: SignIn, auditor: User, company: Company
) -> None:
    browser = client_for(auditor)
    assert browser.post(reverse("export_events", args=[company.pk, "exe"])).status_code == 404
    assert browser.post(reverse("export_events", args=[company.pk, "csv"])).status_code == 200
    event = Event.objects.get(action="events.exported")
    assert (event.actor, event.after) == (auditor, {"format": "csv", "records": 5})


def test_a_spreadsheet_finds_no_formula_in_an_export(
    client_for: SignIn, owner: User, company: Company
) -> None:
    Event.objects.record("=cmd()", None, by=SYSTEM, company=company, after={"a": 'b,\n"c"'})
    sealing.seal(company.pk)
    answer = client_for(owner).post(reverse("export_events", args=[company.pk, "csv"]))
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["action"] == "'=cmd()"
    assert json.loads(rows[0]["after"]) == {"a": 'b,\n"c"'}


def test_the_record_is_found_by_what_it_is_about(
    client_for: SignIn, owner: User, company: Company, cluster: Cluster
) -> None:
    Event.objects.record("user.acted", owner, by=SYSTEM, company=company)
    Event.objects.record(
        "cluster.acted", cluster, by=SYSTEM, company=company, cluster_id=cluster.pk
    )
    page = client_for(owner).get(reverse("events"), {"kind": "cluster"}).text
    assert "cluster.acted" in page
    assert "user.acted" not in page


records = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    min_size=2,
    max_size=8,
)


def chained(rows: list[dict[str, Any]]) -> list[chain.Link]:
    previous, links = chain.ORIGIN, []
    for number, row in enumerate(rows, 1):
        previous = chain.hash_of(previous, number, row)
        links.append(chain.Link(number, row, previous))
    return links


@given(records, st.data())
def test_no_single_loss_exchange_or_change_goes_unseen(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    links = chained(rows)
    head = {links[-1].number: links[-1].hash}
    assert not list(chain.faults(links, head))
    at = data.draw(st.integers(0, len(links) - 1))
    assert list(chain.faults([*links[:at], *links[at + 1 :]], head))
    other = {**rows[at], "changed": True}
    changed = chain.Link(links[at].number, other, links[at].hash)
    assert list(chain.faults([*links[:at], changed, *links[at + 1 :]], head))
    if at:
        swapped = [*links[: at - 1], links[at], links[at - 1], *links[at + 1 :]]
        assert list(chain.faults(swapped, head))


def forget_seals(event_pk: int) -> None:
    """Remove what points at nothing, so that the test's transaction can end."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM medstack_seal WHERE event_id = {event_pk}")
