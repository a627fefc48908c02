"""``regraft edit NAME SURGERY``: insert, replace, drop, prune, widen, deepen, quantize; recorded and reversible."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say, seconds_text, table
from regraft.cli.gathered import gathered
from regraft.cli.progress import watcher
from regraft.cli.resolve import resolved
from regraft.cli.show import cell, metrics_table
from regraft.errors import RequestError

SURGERY = "e.g. 'drop(blocks.2, blocks.3)', 'prune(heads, amount=0.25)', 'insert(adapter, after=blocks.1)+replace(activation=relu)'"


GIVEN = {
    "undo": (Annotated[bool, typer.Option("--undo", help="a child that computes what was there before the last surgery")], False),
    "data": (Annotated[str | None, typer.Option("--data", help="what to measure on [default: the data that the generation learnt]")], None),
    "heal": (Annotated[str | None, typer.Option("--heal", help="data to learn on afterwards, taught by the unedited generation")], None),
    "name_as": (Annotated[str | None, typer.Option("--name", help="name of the child [default: NAME-edit; with --undo, NAME]")], None),
    "set": (Annotated[list[str] | None, typer.Option("--set", help="with --heal any setting, e.g. --set epochs=3")], None),
}


@gathered(GIVEN)
def run(
    name: options.Name,
    given: dict[str, Any],
    surgery: Annotated[str | None, typer.Argument(help=SURGERY)] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Surgery on a generation: drop, insert, replace, prune, widen, deepen, quantize; measured before and after, taken back with --undo."""
    from regraft.grow.edit import edit
    from regraft.grow.edit import undo as take_back

    undone = given.pop("undo")
    if undone == bool(surgery):
        found = "surgery and --undo at once" if undone else "nothing to do is named"
        raise RequestError(f"edit {name}", found, f"regraft edit {name} 'drop(blocks.2)', or regraft edit {name} --undo")
    data, heal, name_as = (given.pop(key) for key in ("data", "heal", "name_as"))
    _, settings = resolved(name, {"recipe": None, **given})
    progress = watcher(quiet=json)
    if undone:
        made = take_back(name, name_as=name_as, store=store)
    else:
        made = edit(
            name, surgery or "", data=data, heal=heal, name_as=name_as, store=store, observer=progress, work=progress.on_work, **settings
        )
    emit_json(made.document) if json else say(text(made.document))


def text(document: dict[str, Any]) -> str:
    """What was done, and what it did to the figures."""
    surgery = document.get("surgery")
    lines = surgery_lines(surgery, document["metrics"]) if surgery else [metrics_table(document["metrics"])]
    lines += [f"! {warning}" for warning in document["warnings"]]
    name = document["name"]
    return "\n".join([
        *lines, "", f"time {seconds_text(document['cost']['time_s'])}, stored {bytes_text(document['cost']['stored_bytes'])}",
        f"generation {name} {document['digest'][:12]}",
        *([f"report     {document['report']}"] if "report" in document else []),
        f"next       regraft edit {name} --undo   regraft evaluate {name} DATA   regraft show {name}",
    ])  # fmt: skip


def surgery_lines(surgery: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    """The edits, the sizes, and the figures before and after; where the model was healed, in between too."""
    counts, stages, between = surgery["parameters"], surgery["stages"], surgery.get("edited")
    lines = [f"- {one['label']} in {one['stage']}" for one in surgery["edits"]]
    lines += [f"parameters {counts['before']:,} -> {counts['after']:,}, stages {len(stages['before'])} -> {len(stages['after'])}", ""]
    columns = [surgery["before"], between, metrics] if between else [surgery["before"], metrics]
    rows = [[split, name, *(cell(column[split][name]) if name in column.get(split, {}) else "" for column in columns)]
            for split in surgery["before"] for name in surgery["before"][split]]  # fmt: skip
    if rows:
        lines.append(table(["split", "metric", "before", "edited", "healed"] if between else ["split", "metric", "before", "after"], rows))
    for split, verdict in surgery["verdicts"].items():
        d = verdict["difference"]
        lines.append(f"the edit on {split}: {verdict['verdict']}, accuracy {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}] "
                     f"on the same {d['n']:,} examples")  # fmt: skip
    return lines
