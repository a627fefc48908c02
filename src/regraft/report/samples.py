"""What a language model answered before training and after it, beside what was to be learned."""

from __future__ import annotations

from regraft.report.markup import Html, el
from regraft.report.numbers import clipped
from regraft.report.reading import Document, rows

LONGEST = 900
COLUMNS = (("expected", "in the data"), ("before", "before"), ("after", "after"))


def section(document: Document) -> Html | None:
    found = rows(document, "samples")
    if not found:
        return None
    return el("div", [_sample(row) for row in found], class_="errors")


def _sample(row: dict[str, object]) -> Html:
    said = [
        el("p", el("b", title), ": ", clipped(row.get(name) or "(nothing)", LONGEST), dir="auto") for name, title in COLUMNS if name in row
    ]
    return el("article", el("blockquote", clipped(row.get("input", ""), LONGEST), dir="auto"), said)
