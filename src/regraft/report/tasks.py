"""Several tasks learned together: each one's metrics beside its controls, what it counted from epoch to epoch, and what it takes for what."""

from __future__ import annotations

from typing import Any

from regraft.report import classes, results, scatter
from regraft.report.markup import Html, el, join
from regraft.report.numbers import interval, number, rate, short, words
from regraft.report.reading import Document, mapping, rows
from regraft.report.results import column

MOST_EPOCHS = 30
BADGES = {"negative": "warning", "positive": "note"}


def section(document: Document) -> Html | None:
    found = rows(document, "tasks")
    if not found:
        return None
    return join(_controls(found), _weights(document, found), [_one(row) for row in found])


def _controls(tasks: list[dict[str, Any]]) -> Html | None:
    """The headline of each task: together, with equal weights, by itself."""
    head = el("tr", [column(text) for text in ("task", "metric", "together", "equal weights", "by itself", "")])
    body = [
        el("tr", el("th", str(row["name"]), scope="row"), el("td", words(str(row["headline"]))), _value(row), _value(mapping(row, "equal"), row),
           _value(mapping(row, "alone"), row), el("td", _transfer(row)))
        for row in tasks
    ]  # fmt: skip
    said = [str(row["said"]) for row in tasks if row.get("said")]
    note = (
        "By itself: the same plan for that task alone. Differences in brackets are paired, on the same examples, with their 95% interval."
        if said
        else None
    )
    return join(
        el("div", el("table", el("thead", head), el("tbody", body)), class_="wide"),
        el("ul", [el("li", text) for text in said]) if said else None,
        el("p", note, class_="note") if note else None,
    )


def _value(held: dict[str, Any], row: dict[str, Any] | None = None) -> Html:
    metric = mapping(held, "metrics").get(str((row or held)["headline"]))
    return el("td", el("b", rate(metric)), " ", el("small", interval(metric)), class_="number") if metric else el("td", "")


def _transfer(row: dict[str, Any]) -> Html | None:
    kind = row.get("transfer")
    return el("span", f"{kind} transfer", class_=f"badge {BADGES[kind]}") if kind in BADGES else None


def _weights(document: Document, tasks: list[dict[str, Any]]) -> Html | None:
    """What each task counted and cost, in the mean of each epoch."""
    epochs = rows(document, "weights")[-MOST_EPOCHS:]
    if not epochs:
        return None
    names = [str(row["name"]) for row in tasks]
    head = el("tr", column("epoch"), [join(column(f"{name}: weight#"), column("loss#")) for name in names])
    body = [
        el(
            "tr",
            el("th", f"{row.get('phase', 0) + 1}.{row.get('epoch')}", scope="row"),
            [_counted(mapping(mapping(row, "tasks"), name)) for name in names],
        )
        for row in epochs
    ]
    return join(el("h3", "What each task counted"), el("div", el("table", el("thead", head), el("tbody", body)), class_="wide"),
                el("p", "Phase and epoch; the mean over its steps, the loss before it is weighed.", class_="note"))  # fmt: skip


def _counted(row: dict[str, Any]) -> Html:
    return join(
        [el("td", short(value) if (value := number(row.get(key))) is not None else "", class_="number") for key in ("weight", "loss")]
    )


def _one(row: dict[str, Any]) -> Html:
    """The sections of a single task."""
    own = {**row, "metrics": {str(row.get("split") or "test"): row.get("metrics")}}
    parts = [results.metrics(own), scatter.section(own), classes.table(own), classes.confusions(own), results.reliability(own)]
    return join(el("h3", f"{row['name']}: {row.get('task', '')}"), [part for part in parts if part])
