"""Predictions as a file that other programs read: a table (.csv, .tsv), JSON Lines, or the JSON document."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, TextIO

from regraft.errors import RequestError, StorageError, suggest
from regraft.spec import OF_TASK

DELIMITERS = {".csv": ",", ".tsv": "\t"}
HEADS = "heads"
"""What further heads say (``regraft.serve.heads``) stays together."""
ENDINGS = (*DELIMITERS, ".jsonl", ".json")


def check(file: Path) -> None:
    """Refuse an ending that is none of ``ENDINGS``, before anything is computed."""
    if file.suffix.lower() not in ENDINGS:
        raise RequestError(f"--to {file}", "its ending names no format", suggest(file.suffix, ENDINGS))


def document(predictions: list[dict[str, Any]], rejected: list[dict[str, str]]) -> dict[str, Any]:
    """The ``predict`` document. ``rejected``: inputs that cannot be read, each ``{where, reason}``."""
    return {"schema": 1, "predictions": predictions, "rejected": rejected}


def save(predictions: list[dict[str, Any]], file: Path, details: tuple[str, ...], *, rejected: list[dict[str, str]]) -> None:
    """Write ``predictions`` to ``file``; tables leave out ``details``, and only the document holds what was ``rejected``. Raises ``StorageError``."""
    try:
        with file.open("w", encoding="utf-8", newline="") as out:
            if file.suffix.lower() in DELIMITERS:
                _table(predictions, out, DELIMITERS[file.suffix.lower()], details)
            elif file.suffix.lower() == ".jsonl":
                out.writelines(json.dumps(prediction, ensure_ascii=False) + "\n" for prediction in predictions)
            else:
                json.dump(document(predictions, rejected), out, ensure_ascii=False, indent=2)
    except OSError as error:
        raise StorageError(f"write {file}", error.strerror or str(error), "another file with --to") from error


def flat(prediction: dict[str, Any], details: tuple[str, ...]) -> dict[str, Any]:
    """``prediction`` without ``details``; what each of several tasks says stands under the task's name and its own: ``kind/label``."""
    found: dict[str, Any] = {}
    for name, value in prediction.items():
        if isinstance(value, dict) and name != HEADS:
            found.update({f"{name}{OF_TASK}{key}": part for key, part in value.items() if key not in details})
        elif name not in details:
            found[name] = value
    return found


def _table(predictions: list[dict[str, Any]], out: TextIO, delimiter: str, details: tuple[str, ...]) -> None:
    rows = [flat(prediction, details) for prediction in predictions]
    names = list(rows[0])
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
