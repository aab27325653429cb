"""The sections of a printed report, in the order in which an auditor asks for them."""

import re
from typing import Any

from reportlab.platypus import Flowable, KeepTogether

from backups.evidence.pdf_style import NOTE, TITLE, pairs, section, space, table, text
from backups.evidence.printed import MOST_LINES, Collected
from backups.evidence.report import in_words

Story = list[Flowable]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
# The fields that a list prints, with the share of the width that each gets.
LISTS: tuple[tuple[str, str, dict[str, float], str], ...] = (
    (
        "storage",
        "Storage and encryption",
        {
            "cluster": 2,
            "storage": 5,
            "used_since": 2.4,
            "retired_at": 2.4,
            "append_only_for_nodes": 2,
            "size_bytes": 1.4,
        },
        "No repository.",
    ),
    (
        "gap",
        "Gaps and failures",
        {"cluster": 2, "from": 2.4, "to": 2.4, "hours": 1, "states": 2, "reasons": 7},
        "No gap: each due hour has a complete snapshot.",
    ),
    (
        "check",
        "Verification: checks of the repository",
        {
            "cluster": 2,
            "storage": 4,
            "part": 0.8,
            "parts": 0.8,
            "state": 1.3,
            "started_at": 2.4,
            "damaged": 1.2,
            "error": 4,
        },
        "No check in this window.",
    ),
    (
        "drill",
        "Verification: drills",
        {
            "cluster": 2,
            "due": 2.4,
            "node": 2,
            "volume": 2.6,
            "outcome": 1.3,
            "started_at": 2.4,
            "recovery_seconds": 1.5,
            "age_seconds": 1.5,
            "differences": 1.5,
            "requested_by": 2.4,
        },
        "No drill in this window.",
    ),
    (
        "restore",
        "Restores",
        {
            "cluster": 2,
            "snapshot": 2.4,
            "mode": 2,
            "volume": 2.4,
            "node": 2,
            "restored_to": 2,
            "requested_by": 2.6,
            "started_at": 2.4,
            "outcome": 1.4,
            "result": 2.4,
        },
        "No restore in this window.",
    ),
    (
        "coverage",
        "Coverage at the end of the window",
        {"cluster": 2, "node": 2, "volume": 4, "state": 1.6, "age_seconds": 1.6, "reason": 6},
        "No volume was known.",
    ),
)


def story(collected: Collected, width: float) -> Story:
    """Return the whole report."""
    lists = {row[0]: listed(collected, width, *row) for row in LISTS}
    return [
        *opening(collected, width),
        *verdicts(collected, width),
        *policy(collected, width),
        *lists["storage"],
        *lists["gap"],
        *backups(collected, width),
        *lists["check"],
        *lists["drill"],
        *lists["restore"],
        *lists["coverage"],
        *closing(collected, width),
    ]


def opening(collected: Collected, width: float) -> Story:
    """Return what the report is about."""
    head = collected.one("report")
    return [
        text("Backup evidence", TITLE),
        space(5),
        pairs(
            [
                ("Report", head["number"]),
                ("Company", head["company"]),
                ("Covers", head["covers"]),
                ("Window (UTC)", f"{head['from']} up to, but without, {head['to']}"),
                ("Made", f"{head['made_at']} by {head['made_by']} with {head['made_with']}"),
                ("Encryption", head["encryption"]),
            ],
            width,
        ),
    ]


def verdicts(collected: Collected, width: float) -> Story:
    """Return the verdict on each cluster."""
    heads = (
        "Cluster", "Recovery point (RPO)", "Due hours", "Complete", "Partial", "Failed", "Missed",
        "Longest gap", "Backups", "Captured", "Failed", "Excluded", "Purged since",
    )  # fmt: skip
    rows = [
        (
            row["cluster"],
            f"{row['rpo'].capitalize()}. {row['rpo_reason']}",
            row["hours_due"], row["complete"], row["partial"], row["failed"], row["missed"],
            in_words(row["longest_gap_seconds"]),
            row["backups"], row["captured"], row["backups_failed"], row["excluded"], row["purged"],
        )
        for row in collected.entries["summary"]
    ]  # fmt: skip
    widths = (2.4, 5, 1.1, 1.4, 1.1, 1.1, 1.1, 1.8, 1.3, 1.4, 1.1, 1.4, 1.3)
    return [section("Verdict: scheduled against actual"), table(heads, rows, widths, width)]


def policy(collected: Collected, width: float) -> Story:
    """Return the promises that were in force."""
    rows = [(row["rule"].capitalize(), row["promise"]) for row in collected.entries["policy"]]
    return [section("Policy in force"), pairs(rows, width)]


def listed(
    collected: Collected, width: float, kind: str, title: str, fields: dict[str, float], none: str
) -> Story:
    """Return one list, or the words that say that there is nothing."""
    rows = collected.entries[kind]
    if not rows:
        return [section(title), text(none)]
    cells = [[shown(name, row[name]) for name in fields] for row in rows]
    heads = [spoken(name) for name in fields]
    found: Story = [section(title), table(heads, cells, list(fields.values()), width)]
    if collected.counts[kind] > MOST_LINES:
        rest = f"The first {MOST_LINES} of {collected.counts[kind]}; CSV and JSON have them all."
        found.append(text(rest, NOTE))
    return found


def backups(collected: Collected, width: float) -> Story:
    """Return each backup of a volume, or a line for each day where there are too many."""
    total = collected.one("total")
    digest = f"Backups: {total['backups']}. SHA-256 over all of them: {total['backups_sha256']}"
    title = section("Backups of volumes")
    if not collected.is_summarised:
        rows = collected.entries["backup"]
        fields = {
            "cluster": 1.8, "due": 2.1, "node": 1.6, "volume": 2.4, "state": 1.3, "files": 0.9,
            "bytes": 1.3, "digest": 5, "verification": 1.8, "kept_by": 1.4, "reason": 2.4,
            "purge_reason": 2,
        }  # fmt: skip
        cells = [[shown(name, row[name]) for name in fields] for row in rows]
        heads = [spoken(name) for name in fields]
        body = table(heads, cells, list(fields.values()), width) if rows else text("None.")
        return [title, body, space(2), text(digest, NOTE)]
    rows_by_period = [
        (
            cluster, period, counts["backups"], counts["captured"], counts["failed"],
            counts["excluded"], size(counts["added_bytes"]), counts["is drilled"],
            counts["is checked"], counts["is plausible"], counts["is recorded"],
            counts["is failed"], counts["purged"],
        )
        for cluster, period, counts in collected.periods()
    ]  # fmt: skip
    heads = [
        "Cluster", "Day or month", "Backups", "Captured", "Failed", "Excluded", "Added", "Drilled",
        "Checked", "Plausible", "Recorded", "Verification failed", "Purged since",
    ]  # fmt: skip
    note = (
        "Summarised. The CSV and the JSON report of this window have each backup, and name the "
        "same SHA-256 in their last record unless a backup was checked, drilled or purged since."
    )
    widths = (2.4, 1.8, 1.2, 1.2, 1, 1.2, 1.4, 1.2, 1.2, 1.2, 1.2, 1.6, 1.4)
    return [
        title,
        table(heads, rows_by_period, widths, width),
        space(2),
        text(note, NOTE),
        text(digest, NOTE),
    ]


def closing(collected: Collected, width: float) -> Story:
    """Return the end of the audit chain, the seal, and where people sign."""
    head, chain = collected.one("report"), collected.one("audit_chain")
    link = f"Record {chain['number']}: {chain['hash']}" if chain["hash"] else "No record yet."
    blank = [(name, " ") for name in ("Name", "Position", "Date", "Signature")]
    return [
        section("Audit chain and seal"),
        pairs(
            [
                ("Head of the audit chain", link),
                ("Signed with (Ed25519)", head["signing_key"]),
                (
                    "How to verify",
                    "The last line of this file is its seal. `manage.py verify_evidence FILE`, or "
                    "openssl alone, verifies it; the page “Evidence” of the console has the public "
                    "key and the commands.",
                ),
            ],
            width,
        ),
        KeepTogether([section("Reviewed by"), pairs(blank, width * 0.6, room=14)]),
    ]


def shown(name: str, value: Any) -> Any:
    """Return a value as people read it."""
    if isinstance(value, int) and name in ("bytes", "size_bytes", "added_bytes"):
        return size(value)
    if isinstance(value, int) and name in ("age_seconds", "recovery_seconds"):
        return in_words(value)
    if isinstance(value, str) and TIME.fullmatch(value):
        return value[:16].replace("T", " ")
    return value


def spoken(name: str) -> str:
    """Return a field's name as a heading."""
    known = {"recovery_seconds": "Recovery time", "age_seconds": "Age of backup", "bytes": "Size"}
    return known.get(name, name.replace("_", " ").removesuffix(" bytes").capitalize())


def size(count: float) -> str:
    """Return bytes as people say them."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.1f} {UNITS[unit]}" if unit else f"{int(count)} {UNITS[0]}"
