"""Predicted masks as files: a PNG for each image, named after it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from regraft.errors import RequestError, StorageError

MASK = "mask"
PREFIX = "data:image/png;base64,"


def is_uri(mask: Any) -> bool:
    return isinstance(mask, str) and mask.startswith(PREFIX)


def written(predictions: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The predictions with the path of a file in the place of each mask. Images of one name from several folders are numbered."""
    if not all(is_uri(prediction.get(MASK)) for prediction in predictions):
        raise RequestError(f"predict --masks {folder}", "this generation does not answer with masks", "leave --masks out")
    taken: set[str] = set()
    found = []
    for prediction in predictions:
        stem = Path(str(prediction["input"])).stem
        name = next(name for name in (stem, *(f"{stem}-{number}" for number in range(2, len(predictions) + 2))) if name not in taken)
        taken.add(name)
        found.append({**prediction, MASK: str(_write(folder / f"{name}.png", prediction[MASK]))})
    return found


def _write(file: Path, uri: str) -> Path:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(uri.removeprefix(PREFIX)))
    except OSError as error:
        raise StorageError(f"write {file}", error.strerror or str(error), "another folder with --masks") from error
    return file
