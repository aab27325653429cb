"""One design system: colours come from one file, in pairs, and can be told from what is behind."""

import re
from itertools import product
from pathlib import Path

import pytest

CSS = Path(__file__).parents[1] / "static" / "css"
TOKENS = (CSS / "tokens.css").read_text()
HEX = r"#[0-9a-f]{6}"
PAIR = re.compile(rf"--([\w-]+): light-dark\(({HEX}), ({HEX})\);")
ONE = re.compile(rf"--([\w-]+): ({HEX});")
SINGLE = dict(ONE.findall(TOKENS))
THEMES = {
    theme: {name: pair[place] for name, *pair in PAIR.findall(TOKENS)} | SINGLE
    for place, theme in enumerate(("light", "dark"))
}
GROUNDS = ("ground", "surface", "sunken")
STATES = ("ok", "warning", "danger", "progress", "neutral", "accent")
TEXTS = ("text", "text-soft", "text-faint", *STATES)
# WCAG 2.2, 1.4.3 for text, and 1.4.11 for what bounds a control or says where the focus is.
READABLE = [
    *product(TEXTS, GROUNDS),
    *((state, f"{state}-tint") for state in STATES),
    ("accent", "accent-tint-strong"),
    *product(("on-accent",), ("accent-solid", "accent-solid-hover")),
    *product(("on-danger",), ("danger-solid", "danger-solid-hover")),
    *product((name for name in SINGLE if name.startswith("task-")), ("console-ground",)),
    *product(("console-text", "console-faint", "console-error"), ("console-ground",)),
]
VISIBLE = [*product(("line-strong", "focus"), GROUNDS), ("console-edge", "console-ground")]


def luminance(colour: str) -> float:
    """Return how light a colour is, from 0 to 1, as WCAG computes it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


pytestmark = pytest.mark.no_database


def test_contrast_is_computed_as_the_guidelines_say() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("least", "pairs"), [(4.5, READABLE), (3, VISIBLE)])
def test_everything_can_be_told_from_what_is_behind_it(
    theme: str, least: float, pairs: list[tuple[str, str]]
) -> None:
    colours = THEMES[theme]
    pale = {
        pair: round(found, 2)
        for pair in pairs
        if (found := contrast(colours[pair[0]], colours[pair[1]])) < least
    }
    assert not pale


@pytest.mark.parametrize("file", sorted(CSS.glob("*.css")), ids=lambda file: file.stem)
def test_colours_and_layers_come_from_the_tokens_alone(file: Path) -> None:
    # The support site is Django's, whose own variables are given the console's colours.
    if file.name in {"tokens.css", "admin.css"}:
        return
    written = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
    assert not re.findall(rf"{HEX}|#[0-9a-f]{{3}}\b|rgba?\(|hsla?\(", written)
    assert written.strip().startswith("@layer")
    layers = set(re.findall(r"@layer ([\w, ]+)[;{]", written))
    order = re.findall(r"@layer ([\w, ]+);", TOKENS)[0].split(", ")
    assert {layer.strip() for layer in layers} <= set(order)


def test_every_colour_that_is_used_is_defined() -> None:
    defined = set(re.findall(r"^\s*--([\w-]+):", TOKENS, flags=re.MULTILINE))
    for file in CSS.glob("*.css"):
        text = file.read_text()
        own = set(re.findall(r"--([\w-]+):", text))
        assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= defined | own, file.name
