"""``regraft log``: every generation, newest first. Reads no weights and imports no torch."""

from __future__ import annotations

from typing import Any

from regraft.cli import options
from regraft.cli.console import bytes_text, emit_json, say, table


def run(store: options.Store = None, json: options.Json = False) -> None:
    """The lineage: generations with parents, metrics, sizes and tags, newest first."""
    from regraft.lineage import Store

    entries = Store.locate(store).log()
    if json:
        return emit_json({"schema": 1, "generations": entries})
    if not entries:
        return say("no generations yet; try: regraft demo")
    say(
        table(["name", "digest", "parent", "strategy", "result", "stored", "tags", "created"], [row(entry) for entry in entries], right=[5])
    )


def row(entry: dict[str, Any]) -> list[str]:
    parent = entry.get("parent") or ""
    return [
        entry["name"],
        entry["digest"][:12],
        parent[:12],
        entry["strategy"],
        headline(entry.get("metrics") or {}),
        bytes_text(entry["stored_bytes"]),
        ", ".join(entry.get("tags") or []),
        entry["created"][:16].replace("T", " "),
    ]


def headline(metrics: dict[str, Any]) -> str:
    """The first metric of test, else of valid: ``accuracy 0.912 [0.898, 0.925] test``."""
    for split in ("test", "valid"):
        for name, metric in (metrics.get(split) or {}).items():
            return f"{name} {metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}] {split}"
    return ""
