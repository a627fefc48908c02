"""``regraft grow NAME DATA``: the next generation; with ``--remove-class`` or ``--remove-examples``, one that has forgotten."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say, table
from regraft.cli.gathered import gathered
from regraft.cli.resolve import resolved
from regraft.errors import GateRefused

SHOWN = 12


GIVEN = {
    "way": (Annotated[str | None, typer.Option("--way", help="statistics, replay or deep [default: chosen, with reasons]")], None),
    "tolerance": (
        Annotated[float, typer.Option("--tolerance", help="share of the old answers that may be lost, as a whole and by class")],
        0.03,
    ),
    "accept_forgetting": (
        Annotated[str, typer.Option("--accept-forgetting", help="store it all the same, for this reason, which is recorded")],
        "",
    ),
    "remove_class": (Annotated[list[str] | None, typer.Option("--remove-class", help="forget this class; repeatable")], None),
    "remove_examples": (Annotated[str | None, typer.Option("--remove-examples", help="forget the examples in this file")], None),
    "new_task": (Annotated[str | None, typer.Option("--new-task", help="DATA is for another task: a further head of this name")], None),
    "control": (
        Annotated[bool, typer.Option("--control/--no-control", help="with --new-task: compare with the same plan on the pretrained model")],
        True,
    ),
    "task": (options.Task, None),
    "strategy": (options.StrategyText, None),
    "objective": (options.ObjectiveText, None),
    "input": (options.Input, None),
    "target": (options.Target, None),
    "epochs": (options.Epochs, None),
    "lr": (options.Lr, None),
    "batch_size": (options.BatchSize, None),
    "seed": (options.Seed, None),
    "name": (
        Annotated[str | None, typer.Option("--name", help="name of the child [default: the parent's, which then means the child]")],
        None,
    ),
    "set": (options.Set, None),
    "allow_rejected": (options.AllowRejected, False),
    "resume": (Annotated[bool, typer.Option("--resume", help="go on with this step where it was interrupted, or start it")], False),
}
OF_GROWTH = ("way", "tolerance", "accept_forgetting", "remove_class", "remove_examples", "new_task", "control", "resume")


@gathered(GIVEN)
def run(
    parent: Annotated[str, typer.Argument(metavar="NAME", help="a generation: its name, tag, name~1, or the start of its digest")],
    given: dict[str, Any],
    data: Annotated[str | None, typer.Argument(help="what is to be learned: labelled data as for tune, one new class being enough")] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Learn new classes or examples on top of a generation, without forgetting: exit 3 where too much was lost."""
    growth = {name: given.pop(name) for name in OF_GROWTH}
    _, request = resolved(data or parent, {**given, "recipe": None})
    try:
        document = conduct(parent, data, {**request, **growth, "remove_class": growth["remove_class"] or ()}, store=store, quiet=json)
    except GateRefused as refused:
        judgement = getattr(refused, "judgement", None)
        if json and judgement is not None:
            emit_json({"schema": 1, "error": {"asked": refused.asked, "found": refused.found, "try": refused.advice}, **judgement.json()})
            raise typer.Exit(refused.exit_code) from refused
        if judgement is not None:
            say(retention_text(judgement.json()))
        raise
    emit_json(document) if json else say(text(document))


def conduct(name: str, data: str | None, given: dict[str, Any], *, store: str | None, quiet: bool) -> dict[str, Any]:
    """Grow with progress on stderr; the ``grow`` document."""
    from regraft.cli.plan_text import plan_text
    from regraft.cli.progress import watcher
    from regraft.cli.tune import quoted
    from regraft.grow.conduct import grow

    progress = watcher(quiet=quiet)
    command = "regraft " + " ".join(quoted(word) for word in sys.argv[1:])
    show_plan = None if quiet else lambda plan: say(plan_text(plan) + "\n")
    generation = grow(name, data, store=store, observer=progress, work=progress.on_work, on_plan=show_plan, command=command, **given)
    return generation.document


def text(document: dict[str, Any]) -> str:
    from regraft.cli.console import bytes_text, seconds_text
    from regraft.cli.show import metrics_table

    cost = document["cost"]
    lines = [
        "", metrics_table(document["metrics"]), "", new_task_text(document) if "sharing" in document else retention_text(document), "",
        f"time {seconds_text(cost['time_s'])}, peak memory {bytes_text(cost['peak_memory_bytes'])}, stored {bytes_text(cost['stored_bytes'])}",
        *(f"! {warning}" for warning in document["warnings"]),
        "",
        f"generation {document['name']} {document['digest'][:12]}, child of {document['parent'][:12]}",
        f"report     {document['report']}",
        f"next       regraft rollback {document['name']}, to go back   regraft show {document['name']}",
    ]  # fmt: skip
    return "\n".join(lines)


def new_task_text(document: dict[str, Any]) -> str:
    """What the further head shares with its parent, and how it does beside the same plan on the pretrained model."""
    head, sharing, control = document["head"], document["sharing"], document["control"]
    lines = [f"head {head['name']!r} on the trunk of {head['of'][:12]}, which answers as before",
             f"shared, byte for byte: {', '.join(sharing['shared']) or 'nothing'}; its own: {', '.join(sharing['own'])}"]  # fmt: skip
    if control and control["verdict"]:
        verdict, d = control["verdict"], control["verdict"]["difference"]
        lines.append(f"against the same plan on {control['model']} alone: {verdict['verdict']}, {verdict['metric']} "
                     f"{d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}] on the same {d['n']:,} examples")  # fmt: skip
    elif control:
        lines.append(f"no control: {control['why']}")
    return "\n".join(lines)


def retention_text(document: dict[str, Any]) -> str:
    """What was known, before and after: each probe, then the classes that changed most, then what the gate said."""
    gate = document["gate"]
    rows = [[probe["of"], *_row(probe)] for probe in document["retention"]]
    lines = (
        ["retention", table(["learned in", "before", "after", "difference (95% interval)", "", "n"], rows, right=[1, 2, 5])] if rows else []
    )
    changed = [(probe["of"], row) for probe in document["retention"] for row in probe["per_class"] if row["difference"]["value"]]
    changed = sorted(changed, key=lambda pair: pair[1]["difference"]["value"])[:SHOWN]
    if changed:
        lines += ["", "classes that changed, the most lost first",
                  table(["class", "learned in", "before", "after", "difference (95% interval)", "", "n"],
                        [[row["class"], of, *_row(row)] for of, row in changed], right=[2, 3, 6])]  # fmt: skip
    return "\n".join([*lines, "", _gate_text(gate)])


def _row(row: dict[str, Any]) -> list[str]:
    difference = row["difference"]
    interval = f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    return [f"{row['before']['value']:.3f}", f"{row['after']['value']:.3f}", interval, row["verdict"], str(row["before"]["n"])]


def _gate_text(gate: dict[str, Any]) -> str:
    if gate["passed"]:
        return f"gate: passed, nothing lost beyond {gate['tolerance']:.0%} and beyond the noise"
    told = [
        f"  {loss['class'] or 'all classes'} of {loss['of']}: {loss['before']:.3f} -> {loss['after']:.3f}, {loss['why']}"
        for loss in gate["lost"]
    ]
    told += [f"  cannot be measured: {what}" for what in gate["unmeasured"]]
    head = f"gate: accepted all the same, for this reason: {gate['accepted']}" if gate["accepted"] else "gate: refused"
    return "\n".join([head, *told])
