"""``regraft predict NAME INPUT...``: texts, files, folders, tables, or lines from stdin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regraft.cli import options, prediction_file
from regraft.cli.console import emit_json, note, say, table
from regraft.cli.inputs import gather
from regraft.cli.mask_files import MASK, is_uri, written

ALL = "all"
DETAILS = ("top", "tags", "shares", "mask")
SAID = "answer"


def run(
    name: options.Name,
    inputs: Annotated[
        list[str], typer.Argument(help="texts, images, folders, tables, .txt files (a text a line); - reads lines from stdin")
    ],
    to: Annotated[Path | None, typer.Option("--to", help="write the predictions there: .csv, .tsv, .jsonl or .json")] = None,
    input: options.Input = None,
    head: Annotated[
        str | None, typer.Option("--head", help="a further head on its trunk (regraft grow --new-task); all: every head at once")
    ] = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="folder to write predicted masks to, a PNG for each image")] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Label texts or images with a generation; a pair of texts is written with a tab between them."""
    from regraft.tune.generation import open

    if to is not None:
        prediction_file.check(to)
    generation = open(name, head=None if head == ALL else head, store=store)
    gathered = gather(inputs, generation.form, column=input)
    predictions = (generation.predict_all if head == ALL else generation.predict)(gathered.values)
    if masks is not None:
        predictions = written(predictions, masks)
    if to is not None:
        prediction_file.save(predictions, to, DETAILS, rejected=gathered.rejected)
        note(f"{len(predictions):,} predictions in {to}")
    if json:
        emit_json(prediction_file.document(predictions, gathered.rejected))
    elif to is None:
        say(text(predictions))


def text(predictions: list[dict[str, Any]]) -> str:
    """A row for each input: what its task says of it, but for what is only of use in JSON; what a model says in its own words, whole."""
    if SAID in predictions[0]:
        return "\n\n".join(f"> {in_one(one['input'])}\n{one[SAID]}" for one in predictions)
    kept = tuple(name for name in DETAILS if not _is_path(predictions[0], name))
    found = [prediction_file.flat({**prediction, "input": in_one(prediction["input"])}, kept) for prediction in predictions]
    names = list(found[0])
    rows = [[cell(row[name]) for name in names] for row in found]
    return table(names, rows, right=[i for i, name in enumerate(names) if isinstance(found[0][name], float)])


def _is_path(prediction: dict[str, Any], name: str) -> bool:
    """Is it a mask that was written to a file?"""
    return name == MASK and MASK in prediction and not is_uri(prediction[MASK])


def in_one(given: Any) -> Any:
    """The columns of a row as one text."""
    return "; ".join(f"{name}: {value}" for name, value in given.items() if value is not None) if isinstance(given, dict) else given


def cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 1 else f"{value:.3f}"
    if isinstance(value, dict):
        told = ((name, next(iter(said.values())) if isinstance(said, dict) else said) for name, said in value.items())
        return shorten("; ".join(f"{name}: {cell(said)}" for name, said in told if said is not None)) or "none"
    if isinstance(value, list):
        parts = [f"{part['text']} ({part['type']})" if isinstance(part, dict) else str(part) for part in value]
        return shorten(", ".join(parts)) or "none"
    return shorten(str(value))


def shorten(line: str, most: int = 60) -> str:
    return line if len(line) <= most else line[: most - 1] + "…"
