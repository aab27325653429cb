"""Write a report as PDF, for people: verdict first, then what it rests on, then who signs."""

import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO, Any

from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate

from backups.evidence import pdf_sections
from backups.evidence.pdf_style import FAINT, LINE, fonts
from backups.evidence.printed import Collected
from backups.evidence.report import Entry

PIECE = 64 * 1024
PAGE = landscape(A4)
MARGIN = 16 * mm


def pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the file in pieces; it is laid out in a temporary file first."""
    collected = Collected()
    for record in entries:
        collected.add(record)
    with tempfile.TemporaryFile() as file:
        write(collected, file)
        end = file.tell()
        file.seek(max(0, end - 1))
        # The seal follows on a line of its own.
        if file.read() != b"\n":
            file.write(b"\n")
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def write(collected: Collected, file: IO[bytes]) -> None:
    """Lay out the report, with the number of pages on each page."""
    fonts()
    head = collected.one("report")
    document = BaseDocTemplate(
        file,
        pagesize=PAGE,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN + 6 * mm,
        title=f"Backup evidence {head['number']}",
        author=str(head["made_with"]),
        subject=f"{head['company']}: {head['from']} to {head['to']}",
        lang="en",
    )
    frame = Frame(
        document.leftMargin, document.bottomMargin, document.width, document.height, 0, 0, 0, 0
    )
    document.addPageTemplates([PageTemplate(frames=[frame])])
    story: list[Flowable] = pdf_sections.story(collected, document.width)
    document.build(story, canvasmaker=partial(Numbered, foot=foot(head)))


def foot(head: dict[str, Any]) -> str:
    """Return what stands at the foot of each page."""
    return (
        f"Backup evidence {head['number']} · {head['company']} · made {head['made_at']} "
        f"by {head['made_by']} · all times are UTC"
    )


class Numbered(Canvas):  # type: ignore[misc]
    """A canvas that writes “Page 2 of 5”, which is known only at the end."""

    def __init__(self, *args: Any, foot: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.foot = foot
        self.finished: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        """Keep the page until their number is known."""
        self.finished.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Write all pages with their feet."""
        for page in self.finished:
            self.__dict__.update(page)
            self.setStrokeColor(LINE)
            self.line(MARGIN, MARGIN + 3 * mm, PAGE[0] - MARGIN, MARGIN + 3 * mm)
            self.setFont("Evidence", 7.5)
            self.setFillColor(FAINT)
            self.drawString(MARGIN, MARGIN - 1 * mm, self.foot[:150])
            number = f"Page {self._pageNumber} of {len(self.finished)}"
            self.drawRightString(PAGE[0] - MARGIN, MARGIN - 1 * mm, number)
            super().showPage()
        super().save()
