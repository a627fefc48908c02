"""``regraft evaluate NAME DATA``: metrics with intervals, and a paired verdict against another generation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say, table
from regraft.cli.gathered import Option, gathered
from regraft.cli.show import metrics_table

GIVEN: dict[str, Option] = {
    "split": (
        Annotated[str | None, typer.Option("--split", help="train, valid or test of the data [default: test, else all of it]")],
        None,
    ),
    "input": (options.Input, None),
    "target": (options.Target, None),
    "allow_rejected": (options.AllowRejected, False),
}


@gathered(GIVEN)
def run(
    name: options.Name,
    data: Annotated[str, options.DATA],
    given: dict[str, Any],
    against: Annotated[str | None, typer.Option("--against", help="another generation, compared on the same examples")] = None,
    head: options.Head = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Metrics with intervals on labelled data; with --against, a paired verdict: better, worse or tie."""
    from regraft.tune.generation import open

    generation = open(name, head=head, store=store)
    other = open(against, store=store) if against else None
    document = generation.evaluate(data, against=other, **given)
    emit_json(document) if json else say(text(document))


def text(document: dict[str, Any]) -> str:
    lines = [metrics_table({document["split"]: document["metrics"]})]
    rows = sorted(document["per_class"], key=lambda row: (row["f1"] is None, row["f1"] or 0.0))
    shown = [[r["class"], *(share(r[k]) for k in ("precision", "recall", "f1")), r["support"]] for r in rows[:10]]
    lines += ["", "weakest classes", table(["class", "precision", "recall", "f1", "n"], shown, right=[1, 2, 3, 4])] if shown else []
    lines += [f"! {warning}" for warning in document["warnings"]]
    if verdict := document.get("against"):
        d = verdict["difference"]
        lines += ["", f"against {verdict['name']}: {verdict['verdict']}, {verdict['metric']} {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}] on the same "
                      f"{d['n']:,} examples, p = {verdict['p_value']:.3g}"]  # fmt: skip
        for name, one in verdict.get("tasks", {}).items():
            d = one["difference"]
            lines.append(f"  {name}: {one['verdict']}, {one['metric']} {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]")
    return "\n".join(lines)


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
