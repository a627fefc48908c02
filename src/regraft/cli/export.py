"""``regraft export NAME``: a generation for elsewhere: a bundle for another store, or files for another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say

BUNDLE = "bundle"


def run(
    name: options.Name,
    path: Annotated[str | None, typer.Argument(help="where to write it [default: NAME.bundle.zip, NAME.hf, ...]")] = None,
    to: Annotated[
        str, typer.Option("--to", help="bundle (with its ancestors, for regraft import), or another library: hf, peft, timm, onnx")
    ] = BUNDLE,
    head: options.Head = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Write a generation for elsewhere; verified before it is called done."""
    from regraft.lineage import Store
    from regraft.lineage.heads import chosen

    lineage = Store.locate(store)
    generation = chosen(lineage, name, head)
    if to == BUNDLE:
        document = lineage.export(generation.digest, Path(path or f"{generation.name}.bundle.zip"))
    else:
        from regraft.serve.export import export

        document = export(lineage, generation.digest, to, Path(path or f"{generation.name}.{to}"))
    emit_json({"schema": 1, **document}) if json else say(text(document))


def text(document: dict[str, Any]) -> str:
    if document["kind"] != BUNDLE:
        compared = document["verified"]
        return (f"{document['path']}: {document['name']} {document['generation'][:12]} for {document['kind']}, {bytes_text(document['bytes'])}; equal on "
                f"{compared['num_inputs']} inputs within {compared['largest_difference']:.1g}\nread it by {document['load']}")  # fmt: skip
    generations = sum(path.startswith("generations/") for path in document["files"])
    heads = f" and the heads {', '.join(document['heads'])}" if document["heads"] else ""
    more = generations - 1 - len(document["heads"])
    return f"{document['path']}: {document['name']} {document['generation'][:12]} with {more} ancestors{heads}, {bytes_text(document['bytes'])}, verified"
