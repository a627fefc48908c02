"""``regraft tune DATA``: plan, preflight, train, evaluate, record a generation, write a report."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, is_first, say, seconds_text
from regraft.cli.plan_text import plan_text
from regraft.cli.progress import watcher
from regraft.cli.show import metrics_table


@options.with_request
def run(
    data: str,
    given: dict[str, Any],
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run of that name, or start it")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="record 20 steps in a trace for ui.perfetto.dev; the answer says where it lies")
    ] = False,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Plan, preflight, train, evaluate, record a generation, write a report."""
    document = conduct(data, given, store=store, resume=resume, profile=profile, quiet=json or not is_first())
    if is_first():
        emit_json(document) if json else say(text(document))


def conduct(
    reference: str, given: dict[str, Any], *, store: str | None, resume: bool = False, profile: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Tune with progress on stderr; the ``tune`` document."""
    from regraft.tune.conduct import tune

    progress = watcher(quiet=quiet)
    command = "regraft " + " ".join(quoted(word) for word in sys.argv[1:])
    show_plan = None if quiet else lambda plan: say(plan_text(plan) + "\n")
    generation = tune(
        reference,
        store=store,
        resume=resume,
        profile=profile,
        observer=progress,
        work=progress.on_work,
        on_plan=show_plan,
        command=command,
        **given,
    )
    return generation.document


def quoted(word: str) -> str:
    from shlex import quote

    return quote(word)


def text(document: dict[str, Any]) -> str:
    cost, forecast = document["cost"], document["plan"]["cost"]
    lines = [
        "",
        metrics_table(document["metrics"]),
        "",
        f"time {seconds_text(cost['time_s'])} (forecast {seconds_text(forecast['time_s'])}), "
        f"peak memory {bytes_text(cost['peak_memory_bytes'])} (forecast {bytes_text(forecast['peak_memory_bytes'])}), "
        f"stored {bytes_text(cost['stored_bytes'])}",
        *(f"- {row['said']}" for row in document.get("tasks", [])),
        *(f"! {warning}" for warning in document["warnings"]),
        "",
        f"generation {document['name']} {document['digest'][:12]}",
        f"report     {document['report']}",
        *([f"profile    {document['profile']} (open it in https://ui.perfetto.dev)"] if "profile" in document else []),
        f"next       regraft predict {document['name']} ...   regraft evaluate {document['name']} DATA   regraft show {document['name']}",
    ]
    return "\n".join(lines)
