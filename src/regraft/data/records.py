"""JSON Lines, JSON and Parquet files as batches of text columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from regraft.data import arrow, encoding
from regraft.errors import DataError

BATCH_ROWS = 50_000
HEADER_ROWS = 1_000


class Lines:
    """One JSON object per line (.jsonl, .ndjson), or one list of objects (.json). See :class:`regraft.data.tables.TableFile`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected: list[tuple[int, str]] = []
        self.said: list[str] = []
        names: dict[str, None] = {}
        for _, record in islice(self._records([]), HEADER_ROWS):
            names.update(dict.fromkeys(record))
        self.columns = tuple(names)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        self.rejected.clear()
        records = self._records(self.rejected)
        while chunk := list(islice(records, BATCH_ROWS)):
            arrays = [arrow.array([_as_text(record.get(name)) for _, record in chunk], pa.string()) for name in columns]
            yield pa.RecordBatch.from_arrays([*arrays, arrow.array([row for row, _ in chunk], pa.int64())], [*columns, "row"])

    def _records(self, rejected: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, record in enumerate(self._values(rejected), start=1):
            if isinstance(record, dict):
                yield row, record
            elif record is not None:
                rejected.append((row, f"not a JSON object: {str(record)[:40]!r}"))

    def _values(self, rejected: list[tuple[int, str]]) -> Iterable[Any]:
        return _line_by_line(self.path, rejected) if self._is_by_line() else _whole(self.path)

    def _is_by_line(self) -> bool:
        """By its name; many files named .json hold one object per line all the same."""
        if self.path.suffix.lower() != ".json":
            return True
        with self.path.open("rb") as file:
            first, second = file.readline().strip(), file.readline().strip()
        return first.startswith(b"{") and first.endswith(b"}") and second.startswith(b"{")


class Columnar:
    """A Parquet file; class names that ``datasets`` stored beside integer labels are put back. See :class:`regraft.data.tables.TableFile`."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.path = path
        self.rejected: list[tuple[int, str]] = []
        self.said: list[str] = []
        try:
            self._file = parquet.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise DataError(f"read {path}", f"not a Parquet file: {error}", "write it again, or give the table as CSV") from error
        self.columns = tuple(self._file.schema_arrow.names)
        self._class_names = _class_names(self._file.schema_arrow)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        row = 1
        for batch in self._file.iter_batches(BATCH_ROWS, columns=list(columns)):
            arrays = [self._texts(batch, name) for name in columns]
            yield pa.RecordBatch.from_arrays([*arrays, arrow.array(range(row, row + batch.num_rows), pa.int64())], [*columns, "row"])
            row += batch.num_rows

    def _texts(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        column = batch.column(name)
        if pa.types.is_binary(column.type) or (
            pa.types.is_struct(column.type) and any(pa.types.is_binary(part.type) for part in column.type)
        ):
            advice = "write them to files in class folders, or name a text column with --input"
            raise DataError(f"read {self.path}", f"column {name!r} holds images or other bytes inside the table", advice)
        names = self._class_names.get(name)
        if names:
            values = [names[value] if value is not None and 0 <= value < len(names) else None for value in column.to_pylist()]
            return arrow.array(values, pa.string())
        if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
            return column.cast(pa.string())
        return arrow.array([_as_text(value) for value in column.to_pylist()], pa.string())


def _line_by_line(path: Path, rejected: list[tuple[int, str]]) -> Iterator[Any]:
    """The value of every line, None for a line that holds none (it is listed)."""
    with path.open(encoding=encoding.of_file(path), errors="surrogateescape") as file:
        for row, line in enumerate(file, start=1):
            if not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line):
                if row <= HEADER_ROWS:
                    raise encoding.refuse(path, f"row {row} is not UTF-8")
                rejected.append((row, "not UTF-8"))
                yield None
                continue
            try:
                yield json.loads(line) if line.strip() else None
            except json.JSONDecodeError as error:
                rejected.append((row, f"not JSON: {error.msg} at character {error.colno}"))
                yield None


def _whole(path: Path) -> list[Any]:
    """The list of records in a .json file: the document itself, or the only list in it."""
    try:
        document = json.loads(path.read_text(encoding.of_file(path)))
    except UnicodeDecodeError as error:
        raise encoding.refuse(path, f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        advice = "name the file .jsonl if it holds one object per line; otherwise mend it"
        raise DataError(f"read {path}", f"not one JSON document: {error}", advice) from error
    lists = [document] if isinstance(document, list) else [v for v in getattr(document, "values", list)() if isinstance(v, list)]
    if len(lists) != 1:
        raise DataError(
            f"read {path}", f"{len(lists)} lists of records in the document", "give one list of objects, or JSON Lines (.jsonl)"
        )
    return lists[0]


def _as_text(value: Any) -> str | None:
    """Texts as they are, everything else as JSON writes it; what is missing is None."""
    if value is None or isinstance(value, str) or value != value:  # only NaN differs from itself
        return value if isinstance(value, str) else None
    return json.dumps(value, ensure_ascii=False, default=lambda part: f"<{type(part).__name__}>")


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of integer classes by column, from the description that ``datasets`` keeps in a Parquet schema."""
    stored = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(stored).get("info", {}).get("features", {}) if stored else {}
    return {
        name: kind["names"]
        for name, kind in features.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and "names" in kind
    }
