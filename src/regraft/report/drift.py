"""How far each stage moved from where it started, and what did not go as planned on the way."""

from __future__ import annotations

from regraft.report.markup import Html, el, join
from regraft.report.numbers import clipped, number, short
from regraft.report.reading import Document, mapping, texts
from regraft.report.results import bar, column

MOST_STAGES = 60
MOST_EVENTS = 30


def section(document: Document) -> Html | None:
    parts = [_events(document), _drift(document)]
    return join(parts) if any(parts) else None


def _events(document: Document) -> Html | None:
    found = texts(document, "events")
    return el("ul", [el("li", clipped(text, 300)) for text in found[:MOST_EVENTS]]) if found else None


def _drift(document: Document) -> Html | None:
    """``drift``: stage -> relative change of its parameters; the top of the trunk first, as in the grid."""
    found = [(stage, value) for stage, given in mapping(document, "drift").items() if (value := number(given)) is not None]
    if not found:
        return None
    most = max(value for _, value in found)
    body = [
        el("tr", el("th", stage, scope="row"), el("td", bar(value / most, short(value), "f1") if value > 0 else "not one bit"))
        for stage, value in list(reversed(found))[:MOST_STAGES]
    ]
    note = (
        "Length of the change of a stage's parameters, divided by the length of what it started from. What is frozen has not moved at all."
    )
    table = el("table", el("thead", el("tr", column("stage"), column("moved"))), el("tbody", body), class_="drift")
    return join(table, el("p", note, class_="note"))
