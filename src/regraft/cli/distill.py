"""``regraft distill TEACHER DATA --model M``: a smaller or different model that learnt a teacher's answers."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say
from regraft.cli.plan_text import plan_text
from regraft.cli.progress import watcher
from regraft.cli.tune import quoted, text
from regraft.errors import RequestError


@options.with_request
def run(
    data: str,
    given: dict[str, Any],
    teacher: Annotated[str, typer.Argument(help="the generation to learn from; several: A,B")],
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run of that name, or start it")] = False,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Train --model (a reference or a generation, e.g. bundled:minilm+'drop(blocks.1, blocks.3, blocks.5)') with a teacher's answers; kept as a generation."""
    from regraft.grow.distill import distill

    if not given.get("model"):
        raise RequestError(
            f"distill {teacher}", "it is not said into which model", "--model bundled:minilm+'drop(blocks.1, blocks.3, blocks.5)', say"
        )
    progress = watcher(quiet=json)
    show_plan = None if json else lambda plan: say(plan_text(plan) + "\n")
    command = "regraft " + " ".join(quoted(word) for word in sys.argv[1:])
    made = distill(teacher, data, store=store, resume=resume, observer=progress, work=progress.on_work, on_plan=show_plan, command=command,
                   **given)  # fmt: skip
    emit_json(made.document) if json else say(text(made.document))
