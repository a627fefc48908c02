"""The report as one HTML file: no script, nothing from outside, under a megabyte, readable in the dark and on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from regraft.report import classes, curves, drift, errors, grid, origins, results, samples, scatter, tasks
from regraft.report.markup import Html, el, join
from regraft.report.numbers import count, interval, moment, number, percent, quantity, rate, seconds, size
from regraft.report.reading import Document, headline, mapping, verdict

LIMIT_BYTES = 1_000_000
MARGIN_BYTES = 10_000
ERRORS = "errors"

Section = Callable[[Document], Html | None]
SECTIONS: tuple[tuple[str, str, Section], ...] = (
    ("plan", "The plan", grid.section),
    ("why", "Why this plan", origins.reasons),
    ("data", "Data", origins.data),
    ("training", "Training", curves.section),
    ("moved", "Along the way", drift.section),
    ("metrics", "Metrics", results.metrics),
    ("tasks", "Task by task", tasks.section),
    ("scatter", "Predicted and true", scatter.section),
    ("classes", "Class by class", classes.table),
    ("confusion", "What is taken for what", classes.confusions),
    ("calibration", "How sure, how right", results.reliability),
    ("samples", "What it answers", samples.section),
    (ERRORS, "Worst errors", lambda document: errors.section(document, 0)),
    ("cost", "Cost", origins.cost),
    ("lineage", "Where it comes from", origins.lineage),
    ("again", "How to make it again", origins.reproduce),
)


def html(document: Document) -> str:
    """The page of a ``tune`` or ``evaluate`` document; every key may be missing. At most ``LIMIT_BYTES`` of UTF-8: images that do not fit are left
    out, and the page says how many."""
    bodies = {anchor: section(document) for anchor, _, section in SECTIONS}
    page = _page(document, bodies)
    room = LIMIT_BYTES - MARGIN_BYTES - len(page.encode())
    if room <= 0:
        return page
    bodies[ERRORS] = errors.section(document, room)
    return _page(document, bodies)


def _page(document: Document, bodies: Mapping[str, Html | None]) -> str:
    shown = [(anchor, title, bodies[anchor]) for anchor, title, _ in SECTIONS if bodies[anchor]]
    name = str(document.get("name") or "Report")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{name} · Regraft"),
        el("style", Html(_style())),
    )
    links = el("nav", [el("a", title, href=f"#{anchor}") for anchor, title, _ in shown])
    sections = [el("section", el("h2", title), body, id=anchor) for anchor, title, body in shown]
    body = el("body", el("main", _top(document, name), links if len(shown) > 2 else None, sections, _foot(document)))
    return "<!doctype html>\n" + el("html", head, body, lang="en")


def _top(document: Document, name: str) -> Html:
    facts = [str(document[key]) for key in ("task", "model", "strategy") if document.get(key)]
    warned = origins.warnings(document)
    return el(
        "header",
        el("p", " · ".join(facts), class_="over"),
        el("h1", name),
        el("p", verdict(document), class_="verdict"),
        _tiles(document),
        warned,
    )


def _tiles(document: Document) -> Html | None:
    cost = mapping(document, "cost")
    tiles = []
    if found := headline(document):
        split, metric_name, metric = found
        tiles.append(_tile(f"{split} {metric_name.replace('_', ' ')}", rate(metric), interval(metric), results.whisker(metric)))
    if number(cost.get("time_s")) is not None:
        trained = cost.get("train_s")
        tiles.append(_tile("time", seconds(cost["time_s"]), f"of it training {seconds(trained)}" if number(trained) is not None else ""))
    trainable, parameters = number(cost.get("trainable_parameters")), number(cost.get("parameters"))
    if trainable is not None:
        share = f"{percent(trainable / parameters)} of {count(parameters)}" if parameters else ""
        tiles.append(_tile("trained parameters", count(trainable), share))
    if number(cost.get("peak_memory_bytes")) is not None:
        tiles.append(_tile("peak memory", size(cost["peak_memory_bytes"])))
    if number(cost.get("stored_bytes")) is not None:
        tiles.append(_tile("stored", quantity("stored_bytes", cost["stored_bytes"]), "what no ancestor held"))
    return el("div", tiles, class_="tiles") if tiles else None


def _tile(label: str, value: str, note: str = "", drawing: Html | None = None) -> Html:
    return el(
        "div",
        el("span", label, class_="label"),
        el("strong", value),
        drawing,
        el("span", note, class_="note") if note else None,
        class_="tile",
    )


def _foot(document: Document) -> Html:
    made = moment(document.get("created"))
    return el(
        "footer",
        join("Made by Regraft", f" on {made}" if made else None, ". This page holds everything it shows and asks nothing of the network."),
    )


@cache
def _style() -> str:
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
