"""What a report says about a history that is known."""

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from backups.evidence import csv as as_csv
from backups.evidence import json as as_json
from backups.evidence import pdf as as_pdf
from backups.evidence.facts import Facts, Question
from backups.evidence.report import FIELDS, Entry, due_window, verdict
from backups.models import Drill, Repository, RepositoryCheck, Restore, Snapshot, VolumeBackup
from backups.schedule import Window
from clusters.models import Cluster, Node, Volume
from medstack.models import Company, Event, User
from medstack.models.events import Actor
from tests.catalogues import HOUR, filled, protected

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
WINDOW = Window(FIRST, datetime(2026, 11, 1, tzinfo=UTC))
NOW = datetime(2026, 11, 10, 8, 20, tzinfo=UTC)
MISSED = FIRST + 30 * HOUR
FAILED, PARTIAL = MISSED + HOUR, MISSED + 2 * HOUR
ALONE = FIRST + 100 * HOUR


@pytest.fixture
def repository(cluster: Cluster) -> Repository:
    return protected(cluster, FIRST - timedelta(minutes=10))


@pytest.fixture
def october(cluster: Cluster, node: Node, repository: Repository) -> Cluster:
    """Fill a month, in which three hours in a row and one alone are not complete."""
    states = {MISSED: "missed", FAILED: "failed", PARTIAL: "partial", ALONE: "failed"}
    filled(cluster, node, repository, first=FIRST, hours=31 * 24, states=states)
    return cluster


def question(cluster: Cluster, window: Window = WINDOW, now: datetime = NOW) -> Question:
    return Question(
        number=17,
        company=cluster.company,
        clusters=[cluster],
        window=window,
        made_at=now,
        made_by="audrey@northside.example",
        signing_key="f" * 64,
    )


def entries(cluster: Cluster, window: Window = WINDOW, now: datetime = NOW) -> list[Entry]:
    return list(Facts(question(cluster, window, now)))


def of_kind(found: list[Entry], kind: str) -> list[dict[str, Any]]:
    return [values for one, values in found if one == kind]


def test_a_report_compares_the_due_hours_with_what_was_taken(october: Cluster) -> None:
    found = entries(october)
    (summary,) = of_kind(found, "summary")
    assert summary["hours_due"] == 744
    assert [summary[state] for state in ("complete", "partial", "failed", "missed")] == [
        740, 1, 2, 1,
    ]  # fmt: skip
    gaps = of_kind(found, "gap")
    assert [(gap["from"], gap["hours"]) for gap in gaps] == [
        ("2026-10-02T06:00:00Z", 3),
        ("2026-10-05T04:00:00Z", 1),
    ]
    assert gaps[0]["states"] == "missed, failed, partial"
    assert gaps[0]["reasons"] == "The hour was missed. The hour was failed. The hour was partial."


def test_the_verdict_is_not_met_by_one_hour_that_is_lacking(october: Cluster) -> None:
    (summary,) = of_kind(entries(october), "summary")
    assert summary["rpo"] == "not met"
    assert summary["rpo_reason"] == "4 of 744 due hours have no complete snapshot."
    assert summary["longest_gap_seconds"] == 4 * 3600


def test_the_verdict_is_met_when_each_hour_is_complete(
    cluster: Cluster, node: Node, repository: Repository
) -> None:
    filled(cluster, node, repository, first=FIRST, hours=31 * 24)
    (summary,) = of_kind(entries(cluster), "summary")
    assert (summary["rpo"], summary["longest_gap_seconds"]) == ("met", 3600)


def test_an_hour_without_any_row_is_missed_too(october: Cluster) -> None:
    VolumeBackup.objects.filter(due=ALONE).delete()
    Snapshot.objects.filter(due=ALONE).delete()
    found = entries(october)
    (hour,) = [row for row in of_kind(found, "snapshot") if row["due"] == "2026-10-05T04:00:00Z"]
    assert (hour["state"], hour["trigger"]) == ("missed", "hourly")
    assert [row["due"] for row in of_kind(found, "snapshot")] == sorted(
        row["due"] for row in of_kind(found, "snapshot")
    )


def test_hours_before_the_protection_and_those_to_come_are_not_due() -> None:
    since, now = FIRST + 10.5 * HOUR, FIRST + 20.5 * HOUR
    due = due_window(Window(FIRST, FIRST + 48 * HOUR), since, None, now)
    assert due is not None
    assert FIRST + 10 * HOUR < due.start <= FIRST + 11 * HOUR
    assert due.end == FIRST + 20 * HOUR
    assert due_window(WINDOW, None, None, NOW) is None
    assert due_window(WINDOW, NOW, None, NOW) is None
    assert verdict({}).rpo == "nothing due"


def test_each_backup_is_listed_once_with_its_digest(october: Cluster) -> None:
    found = of_kind(entries(october), "backup")
    assert len(found) == VolumeBackup.objects.count() == 741 * 2
    assert {(row["due"], row["node"], row["volume"]) for row in found} == {
        (f"{due:%Y-%m-%dT%H:%M:%SZ}", node, volume)
        for due, node, volume in VolumeBackup.objects.values_list("due", "node_name", "volume_name")
    }
    first = VolumeBackup.objects.order_by("due", "-pk")[0]
    assert found[0]["digest"] == first.tree
    assert found[0]["storage"] == "On the console's machine: folder production-1"
    assert found[0]["encryption"] == "AES-256-CTR and Poly1305-AES (restic)"


def test_purged_backups_stay_with_time_and_reason(october: Cluster) -> None:
    at = datetime(2026, 11, 2, 3, tzinfo=UTC)
    VolumeBackup.objects.filter(due=FIRST).update(purged_at=at, purge_reason="Older than 24 hours.")
    found = entries(october)
    purged = [row for row in of_kind(found, "backup") if row["purged_at"]]
    assert [(row["purged_at"], row["purge_reason"]) for row in purged] == [
        ("2026-11-02T03:00:00Z", "Older than 24 hours.")
    ] * 2
    assert of_kind(found, "summary")[0]["purged"] == 2


def test_coverage_names_what_is_protected_at_the_end(october: Cluster, node: Node) -> None:
    Volume.objects.create(node=node, name="forgotten", created_at=FIRST)
    Volume.objects.create(node=node, name="a" * 64, is_anonymous=True, created_at=FIRST)
    Volume.objects.create(node=node, name="later", created_at=NOW)
    found = {row["volume"]: row["state"] for row in of_kind(entries(october), "coverage")}
    assert found == {
        "database": "protected",
        "images": "protected",
        "forgotten": "unprotected",
        "a" * 64: "anonymous",
    }


def test_checks_drills_and_restores_name_who_and_when(
    october: Cluster, node: Node, repository: Repository, operator: User
) -> None:
    backup = VolumeBackup.objects.restorable().order_by("pk")[0]
    RepositoryCheck.objects.create(
        repository=repository, part=3, parts=8, state="failed", error="a pack is damaged",
        damaged=["x"], started_at=FIRST + HOUR,
    )  # fmt: skip
    drill = Drill.objects.create(
        volume_backup=backup, node=node, outcome="passed", duration=timedelta(seconds=42),
        age=timedelta(hours=3), requested_by=operator, files=120, bytes=2_000_000,
    )  # fmt: skip
    restore = Restore.objects.create(
        mode="over", cluster=october, snapshot=backup.snapshot, volume_backup=backup, node=node,
        volume_name="images", outcome="passed", requested_by=operator,
        requested_by_name=operator.email, expected={"files": 120}, result={"files": 120},
    )  # fmt: skip
    Drill.objects.filter(pk=drill.pk).update(started_at=FIRST + 2 * HOUR)
    Restore.objects.filter(pk=restore.pk).update(started_at=FIRST + 3 * HOUR)
    found = entries(october)
    assert of_kind(found, "check")[0]["damaged"] == 1
    (proof,) = of_kind(found, "drill")
    assert (proof["recovery_seconds"], proof["age_seconds"]) == (42, 10800)
    (back,) = of_kind(found, "restore")
    assert (back["requested_by"], back["started_at"]) == (operator.email, "2026-10-01T03:00:00Z")
    later = Window(datetime(2026, 10, 2, tzinfo=UTC), WINDOW.end)
    assert of_kind(entries(october, later), "restore") == []


def test_the_head_of_the_audit_chain_is_in_the_report(
    october: Cluster, company: Company, operator: User
) -> None:
    from medstack import sealing

    event = Event.objects.record("cluster.created", october, by=Actor(operator), company=company)
    sealing.seal(company.pk)
    (head,) = of_kind(entries(october), "audit_chain")
    assert head["event"] == event.pk
    assert len(head["hash"]) == 64


def test_no_password_of_a_repository_is_in_any_format(
    october: Cluster, repository: Repository
) -> None:
    Repository.objects.update(kind="rest", url="rest:https://user:hunter2@backup.example/x/")
    for write in (as_csv.pieces, as_json.pieces):
        text = b"".join(write(entries(october))).decode()
        assert "https://backup.example/x/" in text
        assert "hunter2" not in text and "not in any report" not in text


def test_csv_and_json_say_the_same(october: Cluster) -> None:
    found = entries(october)
    lines = list(csv.reader(io.StringIO(b"".join(as_csv.pieces(found)).decode(), newline="")))
    records = json.loads(b"".join(as_json.pieces(found))[:-2] + b"}")["records"]
    counted = Counter(line[0] for line in lines if line[0] != "record")
    assert counted == Counter(record["record"] for record in records)
    heads = {line[0]: at for at, line in reversed(list(enumerate(lines)))}
    for record in records[-1], records[40], of_json(records, "backup"):
        line = next(line for line in lines if line[0] == record["record"] and matches(line, record))
        assert lines[heads[record["record"]] - 1] == ["record", *FIELDS[record["record"]]]
        assert len(line) == len(FIELDS[record["record"]]) + 1


def of_json(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(record for record in records if record["record"] == kind)


def matches(line: list[str], record: dict[str, Any]) -> bool:
    values = [record[name] for name in FIELDS[record["record"]]]
    return line[1:] == ["" if value is None else str(value) for value in values]


@pytest.mark.parametrize("days", [1, 31])
def test_the_pdf_reads_as_an_auditor_expects(october: Cluster, days: int) -> None:
    window = Window(FIRST, FIRST + days * 24 * HOUR)
    content = b"".join(as_pdf.pieces(entries(october, window)))
    reader = PdfReader(io.BytesIO(content))
    text = " ".join("\n".join(page.extract_text() for page in reader.pages).split())
    for words in ("Backup evidence", "Northside Clinic", "Policy in force", "AES-256-CTR",
                  "Gaps and failures", "Coverage at the end", "Reviewed by",
                  f"Page 1 of {len(reader.pages)}", f"Page {len(reader.pages)} of"):  # fmt: skip
        assert words in text, words
    if days == 31:
        assert "Summarised" in text and "2026-10-31" in text
        assert "Not met. 4 of 744 due hours have no complete snapshot." in text
    else:
        assert "Met. Each due hour" in text
        tree = VolumeBackup.objects.order_by("due", "-pk")[0].tree
        assert tree in text.replace(" ", "")


def test_words_that_look_like_markup_are_printed_as_they_are(
    cluster: Cluster, node: Node, repository: Repository
) -> None:
    Company.objects.update(name="Müller & Søn <b>Ωmega</b>")
    cluster.company.refresh_from_db()
    content = b"".join(as_pdf.pieces(entries(cluster)))
    assert "Müller & Søn <b>Ωmega</b>" in PdfReader(io.BytesIO(content)).pages[0].extract_text()


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2))
def test_any_text_survives_csv_and_none_is_a_formula(words: list[str]) -> None:
    written = b"".join(
        as_csv.pieces([Entry("policy", dict(zip(FIELDS["policy"], words, strict=True)))])
    )
    _, (_, *read) = csv.reader(io.StringIO(written.decode(), newline=""))
    for before, after in zip(words, read, strict=True):
        assert not after.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert after.removeprefix("'") == before.replace("\0", "\ufffd").removeprefix("'") or (
            after == "'" + before.replace("\0", "\ufffd")
        )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_volume_named_like_a_formula_is_neutralised(text: str) -> None:
    assert as_csv.cell(text) == f"'{text}"
    assert as_csv.cell(-1) == -1


def test_rows_of_one_moment_are_neither_lost_nor_twice_at_the_edge_of_a_piece(
    october: Cluster,
) -> None:
    from backups.evidence.reading import in_order

    for piece in (1, 2, 3, 7, 5_000):
        rows = VolumeBackup.objects.filter(due__lt=FIRST + 20 * HOUR)
        found = [row["pk"] for row in in_order(rows, piece=piece)]
        assert len(found) == len(set(found)) == 40


def test_what_was_asked_for_besides_the_hours_is_counted_apart(
    october: Cluster, repository: Repository
) -> None:
    due = FIRST + timedelta(minutes=12)
    Snapshot.objects.create(
        cluster=october, repository=repository, due=due, trigger="manual", state="complete"
    )
    (summary,) = of_kind(entries(october), "summary")
    assert (summary["hours_due"], summary["on_demand"]) == (744, 1)
