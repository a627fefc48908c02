"""``regraft predict NAME INPUT...``: files, folders, texts, or lines from stdin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from regraft.cli import options
from regraft.cli.console import emit_json, say, table
from regraft.cli.mask_files import MASK, is_uri, written
from regraft.errors import RequestError

DETAILS = ("top", "tags", "shares", "mask")
IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def run(
    name: options.Name,
    inputs: Annotated[list[str], typer.Argument(help="texts, image files or folders; - reads lines from stdin")],
    head: options.Head = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="folder to write predicted masks to, a PNG for each image")] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Label texts or images with a generation; a pair of texts is written with a tab between them."""
    from regraft.tune.generation import open

    generation = open(name, head=head, store=store)
    predictions = generation.predict(gather(inputs, generation.kind))
    if masks is not None:
        predictions = written(predictions, masks)
    emit_json({"schema": 1, "predictions": predictions}) if json else say(text(predictions))


def gather(inputs: list[str], kind: str) -> list[str]:
    """Every single input that the arguments mean: lines of stdin, images under folders, text files line by line."""
    found = [item for given in inputs for item in _expand(given, kind)]
    if not found:
        raise RequestError(f"predict {' '.join(inputs)}", f"no {kind} in there", "give texts, files, a folder of images, or - for stdin")
    return found


def _expand(given: str, kind: str) -> list[str]:
    if given == "-":
        return [line.rstrip("\n") for line in sys.stdin if line.strip()]
    path = Path(given)
    if kind == "image":
        if path.is_dir():
            return [str(p) for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_ENDINGS]
        if not path.is_file():
            raise RequestError(f"predict {given}", "no such file or folder", "give the path of an image or of a folder of images")
        return [given]
    is_file = len(given) < 1024 and path.suffix.lower() in {".txt", ".md"} and path.is_file()
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if is_file else [given]


def text(predictions: list[dict[str, Any]]) -> str:
    """A row for each input: what its task says of it, but for what is only of use in JSON."""
    names = [name for name in predictions[0] if name not in DETAILS or _is_path(predictions[0], name)]
    rows = [[cell(prediction[name]) for name in names] for prediction in predictions]
    return table(names, rows, right=[i for i, name in enumerate(names) if isinstance(predictions[0][name], float)])


def _is_path(prediction: dict[str, Any], name: str) -> bool:
    """Is it a mask that was written to a file?"""
    return name == MASK and not is_uri(prediction[MASK])


def cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 1 else f"{value:.3f}"
    if isinstance(value, list):
        parts = [f"{part['text']} ({part['type']})" if isinstance(part, dict) else str(part) for part in value]
        return shorten(", ".join(parts)) or "none"
    return shorten(str(value))


def shorten(line: str, most: int = 60) -> str:
    return line if len(line) <= most else line[: most - 1] + "…"
