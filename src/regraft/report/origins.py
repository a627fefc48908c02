"""Where the result comes from: the reasons for the plan, the data, the cost, the lineage, the machine, the command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from regraft.report.markup import Html, el, join
from regraft.report.numbers import DASH, clipped, count, moment, number, quantity, short, words
from regraft.report.reading import Document, class_names, flat, mapping, rows, texts
from regraft.report.results import bar, column

MOST_ROWS = 30
MOST_NAMES = 60
MOST_JSON = 60_000
SEVERITIES = ("error", "warning", "note")


def reasons(document: Document) -> Html | None:
    found = texts(document, "reasons") or texts(mapping(document, "plan"), "reasons")
    return el("ul", [el("li", clipped(reason, 600)) for reason in found[:MOST_ROWS]], class_="reasons") if found else None


def data(document: Document) -> Html | None:
    """Splits and classes, what was inferred, what could not be used, what the data doctor found."""
    check = mapping(document, "data")
    parts = [_splits(check), _classes(document, check), _said(check), _problems(check), _rejected(check)]
    return join(parts) if any(parts) else None


def _splits(check: dict[str, Any]) -> Html | None:
    given = check.get("splits")
    if isinstance(given, Mapping):
        sizes = {str(split): _size(value) for split, value in given.items()}
    else:
        sizes = {str(row.get("name", row.get("split", "?"))): _size(row) for row in rows(check, "splits")}
    known = [n for n in sizes.values() if n]
    if not known:
        return None
    most = max(known)
    body = [el("tr", el("th", split, scope="row"), el("td", bar((n or 0) / most, count(n)))) for split, n in sizes.items()]
    fingerprint = check.get("fingerprint")
    note = el("p", "Data fingerprint ", el("code", str(fingerprint)[:16]), class_="note") if fingerprint else None
    return join(el("table", el("tbody", body), class_="splits"), note)


def _size(value: Any) -> float | None:
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("num_examples", "examples", "count", "n") if key in value), None)
    return number(value)


def _classes(document: Document, check: dict[str, Any]) -> Html | None:
    names = class_names(document)
    if not names or document.get("tasks"):
        return None
    shown = [el("li", clipped(name, 60)) for name in names[:MOST_NAMES]]
    more = el("li", f"and {count(len(names) - MOST_NAMES)} more", class_="more") if len(names) > MOST_NAMES else None
    return join(el("h3", f"{count(len(names))} classes"), el("ul", shown, more, class_="chips"))


def _said(check: dict[str, Any]) -> Html | None:
    said = texts(check, "said") or texts(check, "inferred")
    return join(el("h3", "What was inferred"), el("ul", [el("li", clipped(text, 400)) for text in said[:MOST_ROWS]])) if said else None


def _problems(check: dict[str, Any]) -> Html | None:
    found = rows(check, "problems")
    if not found:
        return None
    rank = {name: i for i, name in enumerate(SEVERITIES)}
    found.sort(key=lambda row: rank.get(str(row.get("severity")), len(rank)))
    head = el("tr", [column(text) for text in ("found", "where", "count#", "advice")])
    body = [
        el("tr", el("td", el("span", str(row.get("severity", "")), class_=f"badge {_severity(row)}"), " ", words(str(row.get("kind", "")))),
           el("td", clipped(_where(row.get("where")), 160)), el("td", count(row.get("count")), class_="number"), el("td", clipped(row.get("advice", ""), 300)))
        for row in found[:MOST_ROWS]
    ]  # fmt: skip
    return join(el("h3", "What the data doctor found"), el("div", el("table", el("thead", head), el("tbody", body)), class_="wide"))


def _severity(row: dict[str, Any]) -> str:
    return str(row.get("severity")) if row.get("severity") in SEVERITIES else "note"


def _where(value: Any) -> str:
    return ", ".join(str(part) for part in value[:5]) if isinstance(value, list | tuple) else str(value if value is not None else "")


def _rejected(check: dict[str, Any]) -> Html | None:
    found = rows(check, "rejected")
    total = int(number(check.get("num_rejected")) or len(found))
    if not total:
        return None
    listed = [
        el("li", el("code", clipped(row.get("where", "?"), 120)), " ", clipped(row.get("reason", ""), 200)) for row in found[:MOST_ROWS]
    ]
    more = f" The first {MOST_ROWS} are listed." if total > MOST_ROWS and found else ""
    return join(
        el("h3", f"{count(total)} example{'' if total == 1 else 's'} could not be used"),
        el("p", f"Nothing is left out without being named.{more}", class_="note"),
        el("ul", listed),
    )


def cost(document: Document) -> Html | None:
    """What was forecast beside what it took."""
    actual, forecast = (
        dict(flat(mapping(document, "cost"))),
        dict(flat(mapping(document, "forecast") or mapping(mapping(document, "plan"), "cost"))),
    )
    keys = [key for key in {**actual, **forecast} if actual.get(key) is not None or forecast.get(key) is not None][:MOST_ROWS]
    if not keys:
        return None
    labels = ("", "forecast", "actual", "actual / forecast")
    head = el("tr", [el("th", text, scope="col", class_="number" if text else None) for text in labels])
    body = [
        el("tr", el("th", words(key), scope="row"), [el("td", _quantity(key, values), class_="number") for values in (forecast, actual)],
           el("td", _ratio(actual.get(key), forecast.get(key)), class_="number"))
        for key in keys
    ]  # fmt: skip
    return el("div", el("table", el("thead", head), el("tbody", body), class_="cost"), class_="wide")


def _quantity(key: str, values: dict[str, Any]) -> str:
    value = values.get(key)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clipped(quantity(key, value), 60) if value is not None else DASH


def _ratio(actual: Any, forecast: Any) -> str:
    a, f = number(actual), number(forecast)
    return f"× {short(a / f)}" if a is not None and f else ""


def lineage(document: Document) -> Html | None:
    """Digest, parent, model, and the machine it was made on."""
    keys = ("name", "digest", "parent", "model", "task", "strategy", "created")
    facts = {key: document[key] for key in keys if document.get(key) is not None}
    environment = dict(flat(mapping(document, "environment")))
    tables = [_facts("Lineage", facts), _facts("Environment", environment)]
    return el("div", tables, class_="beside") if any(tables) else None


def _facts(title: str, facts: dict[str, Any]) -> Html | None:
    body = [el("tr", el("th", words(key), scope="row"), el("td", _fact(key, value))) for key, value in list(facts.items())[:MOST_ROWS]]
    return el("div", el("h3", title), el("table", el("tbody", body), class_="facts")) if body else None


def _fact(key: str, value: Any) -> Html | str:
    if key in ("digest", "parent"):
        return el("code", clipped(value, 64))
    if key == "created":
        return moment(value)
    return clipped(quantity(key, value) if key.endswith(("_bytes", "_s")) else value, 200)


def reproduce(document: Document) -> Html | None:
    """The command, and the plan that it resolved to."""
    command, recipe, plan = document.get("command"), document.get("recipe"), mapping(document, "plan")
    if isinstance(command, list | tuple):
        command = " ".join(str(part) for part in command)
    parts = []
    if command:
        parts += [
            el("pre", el("code", clipped(command, 4000))),
            el("p", "The same plan, data, seed and machine give the same digest.", class_="note"),
        ]
    if document.get("profile"):
        parts.append(el("p", f"A trace of some of its steps lies in {document['profile']}; ui.perfetto.dev opens it.", class_="note"))
    if recipe:
        text = recipe if isinstance(recipe, str) else json.dumps(recipe, indent=1, ensure_ascii=False)
        parts.append(el("details", el("summary", "The recipe"), el("pre", el("code", clipped(text, MOST_JSON)))))
    if plan:
        text = clipped(json.dumps(plan, indent=1, ensure_ascii=False, default=str), MOST_JSON)
        parts.append(el("details", el("summary", "The resolved plan, whole"), el("pre", el("code", text))))
    return join(parts) if parts else None


def warnings(document: Document) -> Html | None:
    found = texts(document, "warnings") or texts(mapping(document, "plan"), "warnings")
    return el("ul", [el("li", clipped(text, 400)) for text in found[:MOST_ROWS]], class_="warnings") if found else None
