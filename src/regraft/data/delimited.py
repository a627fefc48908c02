"""CSV and TSV files: Arrow parses, every ragged row and every row that is not UTF-8 is listed."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from regraft.data import arrow, encoding
from regraft.errors import DataError

BLOCK_BYTES = 8 << 20
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
TOLERATED_UNDECODABLE = 0.01


class Delimited:
    """See :class:`regraft.data.tables.TableFile`. The delimiter is read off the header line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected: list[tuple[int, str]] = []
        self.said: list[str] = []
        self._encoding = encoding.of_file(path)
        header = self._header()
        usual = "\t" if path.suffix.lower() == ".tsv" else ","
        self._delimiter = max(DELIMITERS, key=lambda mark: (header.count(mark), mark == usual))
        if self._delimiter != usual and header.count(self._delimiter):
            self.said.append(f"{path.name} separates its columns by {DELIMITERS[self._delimiter]}.")
        if self._encoding.startswith(("utf-16", "utf-32")):
            self.said.append(f"{path.name} is {self._encoding.upper()}, as its byte order mark says.")
        self.columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=self._delimiter)))
        self._quote: str | bool = '"' if self._delimiter != "\t" or self._quotes_close() else False
        self._check_names()

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        self.rejected.clear()
        row = 1
        ragged: list[int] = []
        for batch in self._parse(columns, ragged):
            rows = _row_numbers(row, batch.num_rows, ragged)
            row = int(rows[-1]) if rows else row
            ragged[:] = [number for number in ragged if number > row]
            yield self._decoded(batch, columns, rows)

    def _parse(self, columns: Sequence[str], ragged: list[int]) -> Iterator[pa.RecordBatch]:
        def note(row: pyarrow.csv.InvalidRow) -> str:
            ragged.append(row.number)
            self._reject_ragged(row)
            return "skip"

        transcoded = self._encoding.startswith(("utf-16", "utf-32"))
        try:
            yield from pyarrow.csv.open_csv(
                str(self.path),
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False,
                    block_size=BLOCK_BYTES,
                    column_names=list(self.columns),
                    skip_rows_after_names=1,
                    encoding=self._encoding if transcoded else "utf8",
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self._delimiter, quote_char=self._quote, newlines_in_values=bool(self._quote), invalid_row_handler=note
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=list(columns),
                    column_types={name: pa.binary() for name in columns},
                    check_utf8=False,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            if "straddling" not in str(error):
                raise DataError(f"read {self.path}", str(error), "open it in a spreadsheet and save it as CSV again") from error
            raise DataError(
                f"read {self.path}",
                f"one row is longer than {BLOCK_BYTES >> 20} MiB: a quotation mark that opens a field is never closed",
                'close it, or double every quotation mark inside a quoted field ("")',
            ) from error

    def _reject_ragged(self, row: pyarrow.csv.InvalidRow) -> None:
        swallowed = row.text.count("\n")
        reason = f"ragged: {row.actual_columns} of {row.expected_columns} columns"
        if swallowed and row.text.count('"') % 2:
            reason += f'; a quotation mark (") is never closed and swallows {swallowed} more lines'
        for line in range(swallowed + 1):
            self.rejected.append((row.number + line, reason))

    def _decoded(self, batch: pa.RecordBatch, columns: Sequence[str], rows: list[int]) -> pa.RecordBatch:
        """The batch with text columns; a row that is not UTF-8 gets nulls and is listed, and too many of them refuse the file."""
        try:
            arrays = [batch.column(name).cast(pa.string()) for name in columns]
        except pa.ArrowInvalid:
            arrays, broken = _decode_each([batch.column(name) for name in columns])
            if len(broken) > TOLERATED_UNDECODABLE * batch.num_rows:
                found = f"{len(broken):,} of its first {batch.num_rows:,} rows are not UTF-8 (the first is row {rows[broken[0]]})"
                raise encoding.refuse(self.path, found) from None
            self.rejected += [(rows[index], "not UTF-8") for index in broken]
            keep = arrow.array([index for index in range(batch.num_rows) if index not in set(broken)], pa.int64())
            arrays = [array.take(keep) for array in arrays]
            rows = [rows[index] for index in keep.to_pylist()]
        return pa.RecordBatch.from_arrays([*arrays, arrow.array(rows, pa.int64())], [*columns, "row"])

    def _header(self) -> str:
        with self.path.open("rb") as file:
            start = file.read(1 << 16)
        if self._encoding == "utf-8":
            line = start.lstrip(b"\r\n").splitlines()[0] if start.strip() else b""
            try:
                return line.decode()
            except UnicodeDecodeError:
                raise encoding.refuse(self.path, "its header line is not UTF-8") from None
        return (start[: len(start) // 4 * 4].decode(self._encoding, errors="ignore").strip("\r\n").splitlines() or [""])[0]

    def _quotes_close(self) -> bool:
        """Many TSV files do not quote at all; a line with an odd number of quotation marks tells."""
        with self.path.open("rb") as file:
            return all(line.count(b'"') % 2 == 0 for line in file.read(1 << 20).splitlines()[:-1])

    def _check_names(self) -> None:
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise DataError(
                f"read {self.path}", f"the header names {', '.join(map(repr, twice))} more than once", "give every column its own name"
            )


def _row_numbers(last: int, count: int, ragged: list[int]) -> list[int]:
    """Numbers of the ``count`` good rows after row ``last``, stepping over the ragged ones."""
    if not ragged:
        return list(range(last + 1, last + 1 + count))
    skipped, number = set(ragged), last
    rows: list[int] = []
    while len(rows) < count:
        number += 1
        if number not in skipped:
            rows.append(number)
    return rows


def _decode_each(columns: list[pa.Array]) -> tuple[list[pa.Array], list[int]]:
    """Each value decoded by itself, null where that fails, and the indices of the rows that hold such a value."""
    broken: set[int] = set()
    decoded = []
    for column in columns:
        texts: list[str | None] = []
        for index, value in enumerate(column.to_pylist()):
            try:
                texts.append(value.decode())
            except UnicodeDecodeError:
                texts.append(None)
                broken.add(index)
        decoded.append(arrow.array(texts, pa.string()))
    return decoded, sorted(broken)
