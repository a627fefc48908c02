"""The worst errors themselves: images and sounds while they fit, texts, what they are and what they were called."""

from __future__ import annotations

import re
from typing import Any

from regraft.report.markup import Html, el, join
from regraft.report.numbers import clipped, count, number, percent
from regraft.report.reading import Document, rows, texts

MOST_ERRORS = 48
LONGEST_TEXT = 400
AUDIO = re.compile(r"data:audio/wav;base64,[A-Za-z0-9+/=]+")
COLOUR = re.compile(r"#[0-9a-f]{6}")
IMAGE = re.compile(r"data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]+")


def section(document: Document, image_bytes: int) -> Html | None:
    """``image_bytes``: how much the embedded images and sounds may weigh together; the others are left out, and that is said."""
    found = sorted(rows(document, "errors"), key=lambda row: -(number(row.get("probability")) or 0.0))
    if not found:
        return None
    cards, left_out, spent = [], 0, 0
    for row in found[:MOST_ERRORS]:
        image = _embedded(row)
        if image and spent + len(image) > image_bytes:
            image, left_out = None, left_out + 1
        spent += len(image or "")
        cards.append(_card(row, image))
    sure = any(number(row.get("probability")) is not None for row in found)
    first = "The errors that the model was surest of come first" if sure else "The answers that are farthest from the truth come first"
    notes = [f"{first}: some of them may be labels that are wrong."]
    if len(found) > MOST_ERRORS:
        notes.append(f"{MOST_ERRORS} of {count(len(found))} are shown.")
    if left_out:
        notes.append(f"{left_out} images or sounds were left out to keep this page under 1 MB.")
    kind = "errors pictures" if any(isinstance(row.get("image"), str) and _embedded(row) for row in found[:MOST_ERRORS]) else "errors"
    if beside := next((texts(row, "beside") for row in found if texts(row, "beside")), []):
        kind = "errors pictures strips"
        notes.append(f"From left to right: the image, {', '.join(beside)}.")
    return join(el("p", " ".join(notes), class_="note"), _legend(found), el("div", cards, class_=kind))


def _legend(found: list[dict[str, Any]]) -> Html | None:
    """Which colour stands for which class in the pictures."""
    colours: dict[str, Any] = next((row["colours"] for row in found if isinstance(row.get("colours"), dict)), {})
    known = [(name, colour) for name, colour in colours.items() if isinstance(colour, str) and COLOUR.fullmatch(colour)]
    return (
        el("ul", [el("li", el("i", style=f"background:{colour}"), name) for name, colour in known], class_="chips legend")
        if known
        else None
    )


def _embedded(row: dict[str, Any]) -> str | None:
    """The data URI of a picture or a sound; nothing else may stand in a page (an SVG could carry a script)."""
    for name, form in (("image", IMAGE), ("audio", AUDIO)):
        given = row.get(name)
        if isinstance(given, str):
            return given if form.fullmatch(given) else None
    return None


def _shown(row: dict[str, Any], embedded: str | None, text: str) -> Html | None:
    if isinstance(row.get("audio"), str):
        return el("audio", src=embedded, controls="controls", preload="none") if embedded else None
    if not isinstance(row.get("image"), str):
        return None
    return el("img", src=embedded, alt=text, loading="lazy") if embedded else el("div", "not shown", class_="missing")


def _card(row: dict[str, Any], embedded: str | None) -> Html:
    text = clipped(row.get("input", ""), LONGEST_TEXT)
    pictured = isinstance(row.get("image"), str) or isinstance(row.get("audio"), str)
    shown = _shown(row, embedded, text)
    what = el("p", text, class_="file", title=text) if pictured else el("blockquote", text, dir="auto")
    sure = el("span", percent(row.get("probability")), class_="sure") if number(row.get("probability")) is not None else None
    answer = el(
        "p",
        el("span", "is ", el("b", clipped(row.get("label", "?"), 60))),
        el("span", "called ", el("b", clipped(row.get("predicted", "?"), 60)), " ", sure),
    )
    return el("article", shown, what, answer)
