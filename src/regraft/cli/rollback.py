"""``regraft rollback NAME``: move a name back to an earlier generation."""

from __future__ import annotations

from typing import Annotated

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say


def run(
    name: options.Name,
    to: Annotated[str | None, typer.Option("--to", help="generation to go back to [default: the one before]")] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Move a name back to the generation before, or to the one given. Nothing is deleted."""
    from regraft.lineage import Store

    generation = Store.locate(store).rollback(name, to)
    document = {"schema": 1, "name": generation.name, "digest": generation.digest}
    emit_json(document) if json else say(
        f"{name} -> {generation.digest[:12]}, made {generation.manifest['created'][:16].replace('T', ' ')}"
    )
