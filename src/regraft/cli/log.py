"""``regraft log``: every generation, newest first, drawn as a graph. Reads no weights and imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say, table

HEADERS = ["", "name", "digest", "strategy", "result", "stored", "tags", "created"]


def run(store: options.Store = None, json: options.Json = False) -> None:
    """The lineage as a graph: every generation above its parents, with metrics, sizes and tags."""
    from regraft.lineage import Store

    entries = Store.locate(store).log()
    if json:
        return emit_json({"schema": 1, "generations": entries})
    say(text(entries) if entries else "no generations yet; try: regraft demo")


def text(entries: list[dict[str, Any]]) -> str:
    """The graph with a row of facts beside each generation. ``name*``: where the name stands now."""
    from regraft.lineage.graph import drawn

    return table(HEADERS, [[line, *(row(entry) if entry else [""] * (len(HEADERS) - 1))] for line, entry in drawn(entries)], right=[5])


def row(entry: Mapping[str, Any]) -> list[str]:
    if found := entry.get("damaged"):
        return ["damaged", entry["digest"][:12], "", str(found), "", "", ""]
    return [
        entry["name"] + ("*" if entry["name"] in entry["names"] else ""),
        entry["digest"][:12],
        entry["strategy"] or "",
        headline(entry.get("metrics") or {}),
        bytes_text(entry["stored_bytes"]),
        ", ".join([*(entry.get("tags") or []), *(name for name in entry["names"] if name != entry["name"])]),
        entry["created"][:16].replace("T", " "),
    ]


def headline(metrics: dict[str, Any]) -> str:
    """The first metric of test, else of valid: ``accuracy 0.912 [0.898, 0.925] test``."""
    for split in ("test", "valid"):
        for name, metric in (metrics.get(split) or {}).items():
            return f"{name} {metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}] {split}"
    return ""
