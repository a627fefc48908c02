"""Table files as batches of text columns: CSV, TSV, JSON Lines, JSON and Parquet behind one small interface.

Arrow reads CSV and Parquet, the engine underneath ``datasets``; used directly it keeps "NA" and "null" as the texts they are, numbers as they are
written, and tells of every ragged row instead of stopping at the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from regraft.data import conll
from regraft.data.conll import Conll
from regraft.data.conversations import layout_in
from regraft.data.delimited import Delimited
from regraft.data.records import Columnar, Lines
from regraft.data.trans_files import ENDING, TransFile
from regraft.errors import DataError


class TableFile(Protocol):
    """``columns``: names in the file's order. ``batches(columns)``: record batches of string columns of these names (null: missing) plus
    ``row`` (int64; as a spreadsheet counts, 1 is the header of a CSV or the first record of the others). ``rejected``: (row, reason) of what the
    latest call of ``batches`` could not read as a row, complete once these batches are used up."""

    path: Path
    columns: tuple[str, ...]
    rejected: list[tuple[int, str]]
    said: list[str]

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]: ...


FORMATS: dict[str, type[Delimited] | type[Lines] | type[Columnar] | type[Conll]] = {
    ".csv": Delimited,
    ".tsv": Delimited,
    ".jsonl": Lines,
    ".ndjson": Lines,
    ".json": Lines,
    ".parquet": Columnar,
    **dict.fromkeys((".conll", ".bio", ".iob", ".iob2", ".bioes", ".bmes"), Conll),
}
SNIFFED = (".tsv", ".txt", ".csv")
"""Endings under which CoNLL files go about, too."""


def is_table(path: Path) -> bool:
    """Is this file read as a table? By its ending; a text file, where it turns out to be in CoNLL form."""
    ending = path.suffix.lower()
    return ending in FORMATS or path.name.endswith(ENDING) or (ending == ".txt" and conll.looks_like(path))


def open_table(path: Path, *, fewest_columns: int = 2) -> TableFile:
    """The reader for the file's ending; an empty file is an error, and so is a table of fewer columns than an input and a label need."""
    if path.stat().st_size == 0:
        raise DataError(
            f"read {path}", "the file is empty (0 bytes)", "give a table with a header line, an input column and a label column"
        )
    if path.name.endswith(ENDING):
        return TransFile(path)
    ending = path.suffix.lower()
    table: TableFile = Conll(path) if ending in SNIFFED and conll.looks_like(path) else FORMATS[ending](path)
    if len(table.columns) < fewest_columns and layout_in(table.columns) is None:
        raise DataError(
            f"read {path}",
            f"only one column: {', '.join(table.columns) or '(none)'}",
            "give a table with an input column and a label column, its columns separated by commas (.csv) or tabs (.tsv)",
        )
    return table


def sample(table: TableFile, num_rows: int) -> dict[str, list[str | None]]:
    """The first ``num_rows`` rows, column by column."""
    rows = 0
    taken: list[pa.RecordBatch] = []
    for batch in table.batches(table.columns):
        taken.append(batch.slice(0, num_rows - rows))
        rows += taken[-1].num_rows
        if rows >= num_rows:
            break
    return {name: list(islice(chain.from_iterable(b.column(name).to_pylist() for b in taken), num_rows)) for name in table.columns}
