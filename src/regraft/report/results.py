"""Metrics with their intervals, and how sure the model was beside how often it was right."""

from __future__ import annotations

from typing import Any

from regraft.report.axes import Axes
from regraft.report.markup import Html, el, join
from regraft.report.numbers import DASH, count, interval, number, percent, rate
from regraft.report.reading import Document, calibration, splits_measured
from regraft.spec import METRICS, is_lower_better

WIDTH = 120.0


def metrics(document: Document) -> Html | None:
    """A table of metrics by split; each with its interval, drawn too."""
    measured = splits_measured(document)
    known = {name for values in measured.values() for name in values}
    names = [name for name in METRICS if name in known] + sorted(known - set(METRICS))
    if not names:
        return None
    head = el(
        "tr", el("th", "metric", scope="col"), [el("th", _split_head(split, measured[split]), scope="col", colspan=2) for split in measured]
    )
    body = [el("tr", _metric_name(name), [_metric(measured[split].get(name), name) for split in measured]) for name in names]
    note = "Value with its 95% bootstrap interval. Two models whose intervals overlap much may well be equal: compare them on the same examples."
    return join(el("div", el("table", el("thead", head), el("tbody", body), class_="metrics"), class_="wide"), el("p", note, class_="note"))


def _split_head(split: str, values: dict[str, Any]) -> Html:
    sizes = {number(metric.get("n")) for metric in values.values() if isinstance(metric, dict)} - {None}
    return join(split, el("small", f" {count(max(s or 0 for s in sizes))} examples") if sizes else None)


def _metric_name(name: str) -> Html:
    return el("th", name.replace("_", " "), el("small", " lower is better") if is_lower_better(name) else None, scope="row")


def _metric(metric: Any, name: str) -> list[Html]:
    text = el("td", el("b", rate(metric)), " ", el("small", interval(metric)), class_="number")
    bounded = not is_lower_better(name) or name.endswith("calibration_error")
    return [text, el("td", whisker(metric) if bounded else None)]


def whisker(metric: Any) -> Html | None:
    """The interval of a metric as a line on the scale from 0 to 1, its value as a dot."""
    value = number(metric)
    if value is None or not 0 <= value <= 1:
        return None
    given = metric if isinstance(metric, dict) else {}
    low, high = ((number(given.get(key)), value)[number(given.get(key)) is None] or 0.0 for key in ("low", "high"))
    parts = [
        el("line", x1=4, x2=4 + WIDTH, y1=8, y2=8, class_="rule"),
        el("line", x1=4 + WIDTH * low, x2=4 + WIDTH * high, y1=8, y2=8, class_="span"),
        el("line", x1=4 + WIDTH * value, x2=4 + WIDTH * value, y1=3, y2=13, class_="middle"),
    ]
    return el("svg", parts, viewBox=f"0 0 {WIDTH + 8:g} 16", class_="whisker", aria_hidden="true")


def reliability(document: Document) -> Html | None:
    """The reliability diagram: accuracy over confidence, with the number of examples in each bin below."""
    bins = calibration(document)
    if not bins:
        return None
    axes = Axes(0, 1, 0, 1, width=340, height=300)
    bars = [_bar(axes, row) for row in bins]
    diagonal = el("line", x1=axes.x(0), y1=axes.y(0), x2=axes.x(1), y2=axes.y(1), class_="diagonal")
    gaps = [_gap(axes, row) for row in bins]
    chart = axes.svg(axes.frame("confidence"), *bars, diagonal, *gaps, title="Accuracy for each bin of confidence")
    caption = el(
        "figcaption",
        el("b", "Accuracy at each confidence"),
        el("span", "on the dashed line, 80% sure is right 80% of the time", class_="note"),
    )
    words = [el("p", _sureness(bins)), _bins_table(bins)]
    return el("div", el("figure", caption, chart, class_="reliability"), el("div", words), class_="beside")


def _bar(axes: Axes, row: dict[str, float]) -> Html:
    left, right, top = axes.x(row["low"]), axes.x(row["high"]), axes.y(row["accuracy"])
    title = el("title", f"confidence {row['confidence']:.2f}, right {row['accuracy']:.2f}, {row['n']:.0f} examples")
    return el("rect", title, x=left + 1, y=top, width=max(right - left - 2, 0.5), height=axes.y(0) - top, class_="bar")


def _gap(axes: Axes, row: dict[str, float]) -> Html:
    x = axes.x(row["confidence"])
    return el("line", x1=x, x2=x, y1=axes.y(row["confidence"]), y2=axes.y(row["accuracy"]), class_="gap")


def _sureness(bins: list[dict[str, float]]) -> str:
    n = sum(row["n"] for row in bins)
    sure = sum(row["confidence"] * row["n"] for row in bins) / n
    right = sum(row["accuracy"] * row["n"] for row in bins) / n
    said = f"On average the model is {percent(sure)} sure and right {percent(right)} of the time"
    if abs(sure - right) < 0.02:
        return f"{said}: its probabilities can be taken at their word."
    return f"{said}: it is {100 * abs(sure - right):.1f} points too {'sure' if sure > right else 'modest'}."


def _bins_table(bins: list[dict[str, float]]) -> Html:
    most = max(row["n"] for row in bins)
    head = el("tr", [column(text) for text in ("confidence", "right#", "examples")])
    body = [
        el("tr", el("td", f"{row['low']:.2f} {DASH} {row['high']:.2f}"), el("td", percent(row["accuracy"]), class_="number"),
           el("td", bar(row["n"] / most, count(row["n"]))))
        for row in reversed(bins)
    ]  # fmt: skip
    return el("table", el("thead", head), el("tbody", body), class_="bins")


def bar(fraction: float | None, text: str, class_: str = "") -> Html:
    """A number with a bar behind it, as long as its fraction of the cell."""
    width = 100 * min(max(fraction or 0.0, 0.0), 1.0)
    return el("span", el("i", style=f"width:{width:.1f}%"), el("span", text), class_=f"bar {class_}".strip())


def column(text: str) -> Html:
    """The head of a table's column; of numbers, to the right, where the text ends in ``#``."""
    return el("th", text.rstrip("#"), scope="col", class_="number" if text.endswith("#") else None)
