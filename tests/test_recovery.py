"""The recovery sheet: whole, legible, and refused when it is not what it seems."""

from datetime import UTC, datetime

import pytest

from backups.recovery import BadSheet, make, parse
from backups.restic import Repository

REPOSITORY = Repository(
    "s3:https://s3.example/bucket",
    "correct horse battery",
    environment={"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key with ' and ü"},
    ca="-----BEGIN CERTIFICATE-----\nx\n",
)
SHEET = make("clinic", "The clinic", REPOSITORY, datetime(2026, 11, 24, tzinfo=UTC))


def test_a_sheet_gives_back_what_it_was_made_of() -> None:
    found = parse(SHEET)
    assert found.repository == REPOSITORY
    assert (found.cluster, found.name) == ("clinic", "The clinic")


def test_a_person_can_read_what_plain_restic_needs() -> None:
    assert "export RESTIC_PASSWORD='correct horse battery'" in SHEET
    assert "export AWS_ACCESS_KEY_ID='id'" in SHEET


def test_line_ends_and_blanks_of_a_mail_program_do_no_harm() -> None:
    assert parse("> " + SHEET.replace("\n", "\r\n  ")).cluster == "clinic"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("-----BEGIN MEDSTACK", "BEGIN"), "no recovery sheet"),
        (lambda text: text.replace("7b", "7c", 1), "mistyped or cut"),
        (lambda text: text.replace("7b", "zz", 1), "0-9 and a-f"),
    ],
)
def test_what_is_wrong_with_a_sheet_is_said(change: object, words: str) -> None:
    assert callable(change)
    with pytest.raises(BadSheet, match=words):
        parse(change(SHEET))


def test_a_sheet_of_another_cluster_is_refused_by_name() -> None:
    with pytest.raises(BadSheet, match="of the cluster “clinic”, not of “other”"):
        parse(SHEET, cluster="other")


def test_a_sheet_shows_no_secret_by_accident() -> None:
    assert "correct horse" not in repr(parse(SHEET))
