"""``regraft import BUNDLE``: a generation with its ancestors and further heads, out of a bundle into this store. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say


def run(
    bundle: Annotated[str, typer.Argument(help="a file or folder that regraft export --to bundle wrote")],
    name: Annotated[str | None, typer.Option("--name", help="name to give it here [default: the one it had]")] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Take a generation with its ancestors from a bundle into the store, verified first; its digest stays the same."""
    from regraft.lineage import Store
    from regraft.lineage.heads import heads

    lineage = Store.locate(store)
    generation = lineage.take(Path(bundle), name)
    found = {one.name: one.digest for one in heads(lineage, generation).values()}
    document = {
        "schema": 1,
        "name": name or generation.name,
        "digest": generation.digest,
        "ancestors": len(lineage.lineage(generation.digest)) - 1,
        "heads": found,
    }
    with_heads = f" and the heads {', '.join(found)}" if found else ""
    emit_json(document) if json else say(
        f"{document['name']} -> {generation.digest[:12]}, with {document['ancestors']} ancestors{with_heads}"
    )
