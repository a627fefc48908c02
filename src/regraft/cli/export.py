"""``regraft export NAME``: a generation for elsewhere: a bundle for another store, or files for the library that the model comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say

BUNDLE = "bundle"


def run(
    name: options.Name,
    path: Annotated[str | None, typer.Argument(help="where to write it [default: NAME.bundle.zip]")] = None,
    to: Annotated[str, typer.Option("--to", help="bundle: the generation with its ancestors, for regraft import")] = BUNDLE,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Write a generation for elsewhere; verified before it is called done."""
    from regraft.lineage import Store

    lineage = Store.locate(store)
    document = lineage.export(name, Path(path or f"{name}.bundle.zip"))
    emit_json({"schema": 1, **document}) if json else say(text(document))


def text(document: dict[str, Any]) -> str:
    generations = sum(path.startswith("generations/") for path in document["files"])
    return f"{document['path']}: {document['name']} {document['generation'][:12]} with {generations - 1} ancestors, {bytes_text(document['bytes'])}, verified"
