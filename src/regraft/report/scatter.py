"""Predicted numbers over the true ones: on the dashed line a prediction is right."""

from __future__ import annotations

from regraft.report.axes import Axes, Point
from regraft.report.markup import Html, el, join
from regraft.report.numbers import count, number
from regraft.report.reading import Document

MOST_POINTS = 400


def section(document: Document) -> Html | None:
    points = _points(document)
    if len(points) < 2:
        return None
    low, high = min(min(pair) for pair in points), max(max(pair) for pair in points)
    air = (high - low) * 0.04 or 1.0
    axes = Axes(low - air, high + air, low - air, high + air, width=420, height=380)
    diagonal = el("line", x1=axes.x(low), y1=axes.y(low), x2=axes.x(high), y2=axes.y(high), class_="diagonal")
    dots = [el("circle", cx=round(axes.x(x), 1), cy=round(axes.y(y), 1), r=2.2, class_="dot") for x, y in points]
    chart = axes.svg(axes.frame("true"), diagonal, dots, title="Predicted over true")
    note = f"{count(len(points))} examples, evenly spaced by their true value. On the dashed line prediction and truth agree."
    return join(el("figure", chart, class_="reliability"), el("p", note, class_="note"))


def _points(document: Document) -> list[Point]:
    given = document.get("scatter")
    pairs = [pair for pair in given if isinstance(pair, list | tuple) and len(pair) == 2] if isinstance(given, list | tuple) else []
    found = [(number(x), number(y)) for x, y in pairs[:MOST_POINTS]]
    return [(x, y) for x, y in found if x is not None and y is not None]
