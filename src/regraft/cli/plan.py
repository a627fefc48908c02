"""``regraft plan DATA``: resolve everything, show the grid, the reasons, the cost; spend nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say
from regraft.cli.plan_text import plan_text
from regraft.cli.progress import watcher

SWEEP = 1_000_000
"""New objects after which Python looks for circles while a plan is made."""


@options.with_request
def run(
    data: str,
    given: dict[str, Any],
    probe: Annotated[bool, typer.Option("--probe", help="measure a linear probe on frozen features first, as tune does")] = False,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Resolve everything, show the grid, the reasons, the cost; spend nothing."""
    with _seldom_swept():
        from regraft.plan import explain
        from regraft.trunk.outline import Outline
        from regraft.tune.conduct import plan

        progress = watcher(quiet=json)
        made = plan(data, store=store, probe=probe, work=progress.on_work, **given)
    if json:
        return emit_json(
            {
                "schema": 1,
                **explain.document(
                    made, Outline.from_json(made.data["outline"]), num_classes=made.data.get("num_outputs", len(made.data["classes"]))
                ),
                "data": made.data,
            }
        )
    say(plan_text(made))


@contextmanager
def _seldom_swept() -> Iterator[None]:
    """Python looks for unreachable circles after every few hundred new objects, and finds none among the million that torch and transformers bring: a tenth
    of the time that a plan takes."""
    before = gc.get_threshold()
    gc.set_threshold(SWEEP, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
