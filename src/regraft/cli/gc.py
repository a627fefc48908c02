"""``regraft gc``: what the store holds and nothing needs. Lists it first; removes it with ``--yes``. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say

SHOWN = 20


def run(
    keep: Annotated[int | None, typer.Option("--keep", help="of each name keep only the last so many steps [default: all]", min=1)] = None,
    forget: Annotated[list[str] | None, typer.Option("--forget", help="a name to remove with its history; may be given again")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="remove it; without this it is only listed")] = False,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Remove what no name, tag or descendant needs. Lists it and its bytes; --yes removes it. The last hour's writes always stay."""
    from regraft.lineage import Store

    document = {"schema": 1, **Store.locate(store).gc(dry_run=not yes, keep=keep, forget=forget or ())}
    emit_json(document) if json else say(text(document))


def text(document: dict[str, Any]) -> str:
    paths = [*document["unreachable"], *document["leftovers"]]
    generations = sum(path.startswith("generations/") for path in paths)
    freed, kept = bytes_text(document["freed_bytes"]), bytes_text(document["kept_bytes"])
    if not paths:
        return f"nothing to remove; {kept} are needed"
    what = f"{len(paths)} files, {generations} of them generations: {freed}; {kept} are needed"
    lines = [f"  {path}" for path in paths[:SHOWN]] + ([f"  ... and {len(paths) - SHOWN} more"] if len(paths) > SHOWN else [])
    return "\n".join([*lines, f"would remove {what}; regraft gc --yes removes them" if document["dry_run"] else f"removed {what}"])
