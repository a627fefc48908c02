"""Every class by itself, and which ones are taken for each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regraft.report.markup import Html, el, join
from regraft.report.numbers import clipped, count, number, percent, rate
from regraft.report.reading import Document, confused_pairs, confusion, per_class
from regraft.report.results import bar, column

SHOWN_AT_ONCE = 15
MOST_CLASSES = 400
MOST_PAIRS = 12
LARGEST_MATRIX = 30
COUNTS_UP_TO = 16
CELL = 26


def table(document: Document) -> Html | None:
    """Precision, recall and F1 of each class (of pixels the IoU too), the weakest first; of many classes all but the first lie folded."""
    found = sorted(per_class(document), key=_weakness)
    if not found:
        return None
    first, rest = found[:SHOWN_AT_ONCE], found[SHOWN_AT_ONCE:MOST_CLASSES]
    parts = [_rows(first)]
    if rest:
        left = len(found) - len(first) - len(rest)
        more = f"{count(len(rest))} more classes" + (f" (of {count(len(rest) + left)})" if left else "")
        parts.append(el("details", el("summary", more), _rows(rest)))
    order = "Weakest first. Precision: of those called so, how many were; recall: of those that are so, how many were found."
    return join(parts, el("p", order, class_="note"))


def _weakness(row: dict[str, Any]) -> tuple[bool, float, str]:
    f1 = number(row.get("f1"))
    return f1 is None, f1 or 0.0, row["class"]


def _rows(found: list[dict[str, Any]]) -> Html:
    of_pixels = any("iou" in row for row in found)
    names = (*(["IoU"] if of_pixels else []), "precision", "recall", "F1", "pixels#" if of_pixels else "examples#")
    head = el("tr", [column(text) for text in ("class", *names)])
    body = [_row(row, (*(["iou"] if of_pixels else []), "precision", "recall", "f1")) for row in found]
    return el("div", el("table", el("thead", head), el("tbody", body), class_="classes"), class_="wide")


def _row(row: dict[str, Any], rates: Sequence[str]) -> Html:
    bars = [el("td", bar(number(row.get(key)), rate(row.get(key), 2), key)) for key in rates]
    return el("tr", el("th", clipped(row["class"], 80), scope="row"), bars, el("td", count(row.get("n")), class_="number"))


def confusions(document: Document) -> Html | None:
    """The confusion matrix of a few classes; of many the pairs that are confused most."""
    names, matrix = confusion(document)
    if not matrix:
        return None
    pairs = confused_pairs(names, matrix)
    drawn = _heatmap(names, matrix) if len(names) <= LARGEST_MATRIX else None
    if not pairs:
        return join(drawn, el("p", "No example was taken for another class."))
    return el("div", drawn, _pairs(pairs), class_="beside" if drawn else None)


def _pairs(pairs: list[tuple[str, str, int, int]]) -> Html:
    most = pairs[0][2]
    head = el("tr", [column(text) for text in ("is", "was called", "times", "of its examples#")])
    body = [
        el("tr", el("td", clipped(label, 48)), el("td", clipped(predicted, 48)), el("td", bar(times / most, count(times), "error")),
           el("td", percent(times / of), class_="number"))
        for label, predicted, times, of in pairs[:MOST_PAIRS]
    ]  # fmt: skip
    errors, hidden = sum(pair[2] for pair in pairs), len(pairs) - MOST_PAIRS
    note = f"{count(errors)} errors in {count(len(pairs))} pairs of classes" + (
        f"; the {MOST_PAIRS} most frequent are shown." if hidden > 0 else "."
    )
    return el("div", el("table", el("thead", head), el("tbody", body), class_="pairs"), el("p", note, class_="note"))


def _heatmap(names: list[str], matrix: list[list[int]]) -> Html:
    k = len(names)
    left = 12 + 6.2 * min(max(len(name) for name in names), 18)
    top = left * 0.72 + 6
    cells = [_cell(i, j, matrix, left, top, names) for i in range(k) for j in range(k) if matrix[i][j]]
    rows = [el("text", clipped(name, 18), x=left - 6, y=top + CELL * i + CELL * 0.64, text_anchor="end") for i, name in enumerate(names)]
    columns = [_column(name, left + CELL * (j + 0.5), top - 6) for j, name in enumerate(names)]
    frame = el("rect", x=left, y=top, width=CELL * k, height=CELL * k, class_="frame")
    size = f"0 0 {left + CELL * k + top * 0.75:.0f} {top + CELL * k + 4:.0f}"
    caption = el("figcaption", el("b", "Confusion matrix"), el("span", "rows: what it is; columns: what it was called", class_="note"))
    style = f"max-width:{left + CELL * k + top * 0.75:.0f}px"
    return el(
        "figure", caption, el("svg", el("title", "Confusion matrix"), frame, cells, rows, columns, viewBox=size, role="img", style=style)
    )


def _column(name: str, x: float, y: float) -> Html:
    return el("text", clipped(name, 18), transform=f"translate({x + 4:.1f} {y:.1f}) rotate(-45)")


def _cell(i: int, j: int, matrix: list[list[int]], left: float, top: float, names: list[str]) -> Html:
    share = matrix[i][j] / (sum(matrix[i]) or 1)
    strength = 0.08 + 0.92 * share if i == j else 0.15 + 0.85 * min(share * 2.5, 1.0)
    title = el("title", f"{names[i]} called {names[j]}: {matrix[i][j]} ({100 * share:.1f}%)")
    x, y = left + CELL * j, top + CELL * i
    square = el(
        "rect", title, x=x, y=y, width=CELL - 1, height=CELL - 1, rx=2, class_="hit" if i == j else "miss", fill_opacity=round(strength, 3)
    )
    if len(matrix) > COUNTS_UP_TO:
        return square
    text = el(
        "text", matrix[i][j], x=x + CELL / 2 - 0.5, y=y + CELL * 0.63, text_anchor="middle", class_="on strong" if strength > 0.5 else "on"
    )
    return join(square, text)
