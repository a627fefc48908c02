"""``regraft check DATA``: the data doctor."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say, table

MARKS = {"error": "✗", "warning": "!", "note": "·"}


def run(
    data: options.Data,
    task: options.Task = None,
    input: options.Input = None,
    target: options.Target = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="a text model: what it cannot read of the data is told too")] = None,
    json: options.Json = False,
) -> None:
    """Data doctor: counts, splits, duplicates, leaks, broken files, imbalance."""
    from regraft.tune.check import check

    document = check(data, task=task, input=input, target=target, model=model)
    emit_json(document) if json else say(text(document))
    if any(problem["severity"] == "error" for problem in document["problems"]):
        raise typer.Exit(1)


def text(document: dict[str, Any]) -> str:
    """The check document for people."""
    splits = document["splits"]
    counts = {name: split["classes"] if isinstance(split, dict) and "classes" in split else {} for name, split in splits.items()}
    lines = [f"{document['task']}: {document['num_examples']} examples, {document['outputs']}"]
    lines += [f"  {sentence}" for sentence in document.get("said", [])]
    rows = class_rows(document["classes"], counts) if any(counts.values()) else []
    sizes = ["examples", *(split["num_examples"] for split in splits.values())]
    lines += ["", table(["class" if rows else "", *splits], rows or [sizes], right=range(1, len(splits) + 1)), ""]
    if not document["problems"]:
        return "\n".join([*lines, "no problems found"])
    for problem in document["problems"]:
        where = f" ({problem['where']})" if problem.get("where") else ""
        lines += [f"{MARKS[problem['severity']]} {problem['kind']}: {problem['count']}{where}", f"    {problem['advice']}"]
    return "\n".join(lines)


def class_rows(classes: list[str], counts: dict[str, dict[str, int]], most: int = 30) -> list[list[Any]]:
    rows: list[list[Any]] = [[name, *(count.get(name, 0) for count in counts.values())] for name in classes]
    if len(rows) > most:
        rest = rows[most - 5 : -5]
        rows = [*rows[: most - 5], [f"... {len(rest)} more", *(sum(row[i + 1] for row in rest) for i in range(len(counts)))], *rows[-5:]]
    return [*rows, ["all", *(sum(count.values()) for count in counts.values())]]
