"""``regraft merge A B ...``: one generation out of several."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say, seconds_text, table
from regraft.cli.progress import watcher
from regraft.cli.show import cell, metrics_table

METHODS = "uniform, greedy, wise_ft(alpha=0.5), task_arithmetic(scale=0.4), ties(density=0.2), dare(drop=0.9); what is left open is chosen on valid"


def run(
    names: Annotated[list[str], typer.Argument(help="generations of one architecture that started from the same weights")],
    method: Annotated[str, typer.Option("--method", help=METHODS)] = "greedy",
    data: Annotated[str | None, typer.Option("--data", help="what to measure on [default: the data that all of them learnt]")] = None,
    name: Annotated[str | None, typer.Option("--name", help="name of the merge [default: from the first and the method]")] = None,
    accept_forgetting: Annotated[str | None, typer.Option("--accept-forgetting", help="record it although it is worse; say why")] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Average, soup, task arithmetic, TIES, DARE, WiSE-FT; compared with the best parent, refused (exit 3) where it is worse."""
    from regraft.grow.merge import merge

    progress = watcher(quiet=json)
    document = merge(
        names, method=method, data=data, name=name, accept_forgetting=accept_forgetting, store=store, work=progress.on_work
    ).document
    emit_json(document) if json else say(text(document))


def text(document: dict[str, Any]) -> str:
    merge, cost = document["merge"], document["cost"]
    split = merge["gate"]["split"]
    headline = next(iter(merge["parents"][0]["metrics"][split]))
    rows = [[p["name"], p["digest"][:12], "yes" if p["included"] else "", cell(p["metrics"][split][headline])] for p in merge["parents"]]
    rows.append([document["name"], document["digest"][:12], "merge", cell(document["metrics"][split][headline])])
    lines = [table(["model", "digest", "in it", f"{headline} on {split}"], rows), ""]
    lines += [f"- {reason}" for reason in document["plan"].get("reasons", [])]
    lines += [
        "",
        metrics_table(document["metrics"]),
        "",
        f"{merge['outcome']} against {merge['best_parent']['name']}, the best of its parents",
    ]
    lines += [f"! {warning}" for warning in document["warnings"]]
    return "\n".join([
        *lines,
        f"time {seconds_text(cost['time_s'])}, stored {bytes_text(cost['stored_bytes'])}",
        f"generation {document['name']} {document['digest'][:12]}",
        f"report     {document['report']}",
    ])  # fmt: skip
