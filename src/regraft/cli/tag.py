"""``regraft tag NAME TAG``: a lasting second name for a generation."""

from __future__ import annotations

from typing import Annotated

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say


def run(
    name: options.Name,
    tag: Annotated[str, typer.Argument(help="the tag to set, e.g. production")],
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Give a generation a tag; a tag that exists moves."""
    from regraft.lineage import Store

    generation = Store.locate(store).tag(name, tag)
    document = {"schema": 1, "tag": tag, "name": generation.name, "digest": generation.digest}
    emit_json(document) if json else say(f"{tag} -> {generation.name} {generation.digest[:12]}")
