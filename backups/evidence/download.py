"""Hand a report out while it is made: hash it on the way, seal it at the end, record who has it."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from asgiref.sync import sync_to_async

from backups.actions import evidence as actions
from backups.evidence import csv, json, pdf
from backups.evidence.facts import Facts, Question
from backups.evidence.report import Entry
from backups.evidence.signing import SigningKeys
from backups.models import EvidenceReport
from medstack.models.events import Actor

Writer = Callable[[Iterable[Entry]], Iterator[bytes]]
WRITERS: dict[str, Writer] = {"csv": csv.pieces, "json": json.pieces, "pdf": pdf.pieces}
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "pdf": "application/pdf",
}


def sealed(
    report: EvidenceReport, question: Question, keys: SigningKeys, *, by: Actor
) -> Iterator[bytes]:
    """Yield the file; what has become of it is recorded even if its reader leaves."""
    facts, digest, length = Facts(question), hashlib.sha256(), 0
    found, signature = "", ""
    try:
        for piece in WRITERS[report.format](facts):
            digest.update(piece)
            length += len(piece)
            yield piece
        seal, made = keys.seal(report.format, digest.hexdigest())
        length += len(seal)
        yield seal
        # Only now the reader has all of it.
        found, signature = digest.hexdigest(), made
    finally:
        actions.finish(
            report, sha256=found, signature=signature, rows=facts.backups, length=length, by=by
        )


async def without_waiting(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces one by one on a server that would otherwise collect them all first."""

    def step() -> bytes | None:
        return next(pieces, None)

    try:
        while (piece := await sync_to_async(step)()) is not None:
            yield piece
    finally:
        await sync_to_async(pieces.close)()  # type: ignore[attr-defined]


def file_name(report: EvidenceReport) -> str:
    """Return a name that says what is in the file."""
    what = report.cluster.slug if report.cluster else "company"
    return (
        f"medstack-evidence-{report.pk}-{what}-{report.starts_at:%Y%m%d}-{report.ends_at:%Y%m%d}"
        f".{report.format}"
    )
