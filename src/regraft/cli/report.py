"""``regraft report NAME``: the self-contained page of a run, and its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say


def run(
    name: options.Name,
    to: Annotated[str | None, typer.Option("--to", help="write the page there instead (.html, or .md for the model card)")] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Write the report of a generation anew: one HTML page that opens offline, and a Markdown model card."""
    from regraft.lineage import Store
    from regraft.report.pages import rewrite

    lineage = Store.locate(store)
    generation = lineage.get(name)
    written = rewrite(Path(lineage.run_folder(generation.name)), generation.digest, Path(to) if to else None)
    emit_json({"schema": 1, "report": str(written)}) if json else say(str(written))
