"""How a printed report looks: fonts, colours, and tables with a repeated head."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, LongTable, Paragraph, Spacer, TableStyle

TEXT, SOFT, FAINT = HexColor("#14202a"), HexColor("#44525e"), HexColor("#5a6874")
LINE, HEAD, ACCENT = HexColor("#c9d2d9"), HexColor("#eff2f4"), HexColor("#0a6b79")
OK, DANGER = HexColor("#17703a"), HexColor("#b0231d")
# The first has more alphabets than the one that comes with reportlab.
FONTS = ("/usr/share/fonts/truetype/dejavu/DejaVuSans{}.ttf", "Vera{}.ttf")


@cache
def fonts() -> None:
    """Register the fonts once."""
    there = Path(FONTS[0].format("")).exists() and Path(FONTS[0].format("-Bold")).exists()
    plain, bold = (FONTS[0].format(""), FONTS[0].format("-Bold")) if there else ("", "")
    pdfmetrics.registerFont(TTFont("Evidence", plain or FONTS[1].format("")))
    pdfmetrics.registerFont(TTFont("Evidence-Bold", bold or FONTS[1].format("Bd")))


def style(name: str, size: float, **more: Any) -> ParagraphStyle:
    """Return a style of text."""
    return ParagraphStyle(
        name,
        **{"fontName": "Evidence", "fontSize": size, "leading": size * 1.35, "textColor": TEXT}
        | more,
    )


BODY = style("body", 9)
CELL = style("cell", 7.2, splitLongWords=1, wordWrap="CJK")
CELL_HEAD = style("cell-head", 7.2, fontName="Evidence-Bold", textColor=SOFT)
TITLE = style("title", 22, fontName="Evidence-Bold")
SECTION = style(
    "section",
    12,
    fontName="Evidence-Bold",
    textColor=ACCENT,
    spaceBefore=12,
    spaceAfter=5,
    keepWithNext=1,
)
NOTE = style("note", 8, textColor=SOFT)


def text(words: Any, how: ParagraphStyle = BODY) -> Paragraph:
    """Return words as they are: nothing in them is markup."""
    return Paragraph(escape("—" if words in (None, "") else str(words)), how)


def section(title: str) -> Flowable:
    """Return a heading."""
    return Paragraph(escape(title), SECTION)


def space(millimetres: float) -> Flowable:
    """Return an empty strip."""
    return Spacer(1, millimetres * mm)


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Any]],
    widths: Sequence[float],
    width: float,
    *,
    room: float = 2.5,
) -> Flowable:
    """Return a table whose columns share the width in these parts; `room` is below each line."""
    whole = sum(widths)
    head = [[text(words, CELL_HEAD) for words in heads]] if heads else []
    body = [[text(cell, CELL) for cell in row] for row in rows]
    found = LongTable(
        [*head, *body],
        colWidths=[width * part / whole for part in widths],
        repeatRows=len(head),
        hAlign="LEFT",
    )
    found.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, 0) if heads else (0, -1), HEAD),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("RIGHTPADDING", (0, 0), (-1, -1), 3),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), room),
            ]
        )
    )
    return found


def pairs(rows: Sequence[tuple[str, Any]], width: float, *, room: float = 2.5) -> Flowable:
    """Return names and values, one below the other."""
    return table((), rows, (1, 4), width, room=room)
