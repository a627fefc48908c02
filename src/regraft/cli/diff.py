"""``regraft diff A B``: two generations beside each other. Imports torch only for the drift."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say, table

SHOWN_CLASSES = 8
SHOWN_SETTING = 40


def run(
    a: Annotated[str, typer.Argument(help="a generation: its name, tag, name~1, or the start of its digest")],
    b: Annotated[str, typer.Argument(help="another one, compared with it")],
    drift: Annotated[bool, typer.Option("--drift/--no-drift", help="read the weights and say how far each stage moved")] = True,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """What changed from A to B: plan, data, classes, edits, how far each stage moved, metrics with a paired verdict."""
    from regraft.lineage import Store
    from regraft.tune.difference import difference

    document = difference(Store.locate(store), a, b, drift=drift)
    emit_json(document) if json else say(text(document))


def text(document: dict[str, Any]) -> str:
    a, b = document["a"], document["b"]
    plan, data, classes, tensors = document["plan"], document["data"], document["classes"], document["tensors"]
    lines = [f"a  {a['name']} {a['digest'][:12]}", f"b  {b['name']} {b['digest'][:12]}", document["relation"], ""]
    lines += [f"{key:<9} {document[key][0]} -> {document[key][1]}" for key in ("model", "task") if key in document]
    if plan["strategy"]:
        lines.append(f"strategy  {plan['strategy'][0]} -> {plan['strategy'][1]}")
    lines += [f"setting   {key}: {was!s:.{SHOWN_SETTING}} -> {now!s:.{SHOWN_SETTING}}" for key, (was, now) in plan["settings"].items()]
    lines.append(
        "data      the same" if data["same"] else "data      " + "; ".join(f"{key} {was} -> {now}" for key, was, now in changes(data))
    )
    lines.append(f"classes   {classes_text(classes)}")
    lines += [
        f"edit      {sign} {row['edit']['kind']} in {row['stage']}"
        for key, sign in (("added", "+"), ("removed", "-"))
        for row in document["edits"][key]
    ]
    lines.append(
        f"tensors   {tensors['equal']} equal, {tensors['changed']} changed, {tensors['added']} added, {tensors['removed']} removed"
    )
    if plan["grid"] or document["drift"]:
        lines += ["", stages_table(document)]
    lines += ["", metrics_table(document["metrics"]), "", verdict_text(document)]
    return "\n".join(lines)


def changes(data: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    short = {**data, "fingerprint": [str(value)[:12] for value in data.get("fingerprint", ())]}
    return [(key, *short[key]) for key in ("reference", "fingerprint", "splits") if len(short.get(key) or ()) == 2]


def classes_text(classes: dict[str, Any]) -> str:
    parts = [
        f"{sign}{len(names)} ({', '.join(names[:SHOWN_CLASSES])}{', ...' if len(names) > SHOWN_CLASSES else ''})"
        for sign, names in (("+", classes["added"]), ("-", classes["removed"]))
        if names
    ]
    return ", ".join(parts + (["in another order"] if classes["reordered"] else [])) or "the same"


def stages_table(document: dict[str, Any]) -> str:
    """Every stage whose cells or weights differ, from the head down."""
    drift = document["drift"] or {}
    cells = {row["stage"]: row for row in document["plan"]["grid"]}
    rows = [
        [stage, *(" | ".join(cells.get(stage, {}).get(key) or ()) for key in ("a", "b")), drift_text(drift.get(stage), stage in drift)]
        for stage in dict.fromkeys([*reversed(list(drift)), *cells])
    ]
    return table(["stage", "a's phases", "b's phases", "moved"], rows, right=[3])


def drift_text(value: float | None, known: bool) -> str:
    return "" if not known else "n/a" if value is None else f"{value:.2%}" if value else "0"


def metrics_table(metrics: dict[str, Any]) -> str:
    rows = [
        [f"{split} {name}", *(f"{pair[key]['value']:.3f} [{pair[key]['low']:.3f}, {pair[key]['high']:.3f}]" if pair[key] else "" for key in ("a", "b")),
         f"{pair['b']['value'] - pair['a']['value']:+.3f}" if pair["a"] and pair["b"] else ""]
        for split, found in metrics.items() for name, pair in found.items()
    ]  # fmt: skip
    return table(["metric (95% interval)", "a", "b", "b - a"], rows, right=[3])


def verdict_text(document: dict[str, Any]) -> str:
    verdict = document["verdict"]
    if verdict is None:
        return f"no paired verdict: {document['no_verdict']}"
    d = verdict["difference"]
    left_out = f" ({verdict['left_out']:,} others were not answered by both)" if verdict["left_out"] else ""
    return f"b against a: {verdict['verdict']}, accuracy {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}] on the same {d['n']:,} test examples{left_out}, p = {verdict['p_value']:.3g}"
