"""A growing Arrow table that stays in memory while it is small and moves to a memory-mapped temporary file when it is not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

from regraft.errors import StorageError

MEMORY_BYTES = 256 << 20


class Spool:
    """Batches go in one after the other; :meth:`table` closes the spool and gives them back as one table.

    Beyond ``memory_bytes`` the batches are written to an unnamed file in the system's temporary folder ($TMPDIR), which the operating system frees
    when the table is let go; such a table costs address space but little memory.
    """

    def __init__(self, schema: pa.Schema, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self.schema, self._limit = schema, memory_bytes
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._path: Path | None = None
        self._writer: pa.RecordBatchFileWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        if self._writer is not None:
            self._append(self._writer, batch)
            return
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes > self._limit:
            self._move_to_disk()

    def table(self) -> pa.Table:
        if self._writer is None or self._path is None:
            return pa.Table.from_batches(self._held, self.schema)
        self._writer.close()
        mapped = pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
        self._path.unlink()
        return mapped

    def _move_to_disk(self) -> None:
        with tempfile.NamedTemporaryFile(prefix="regraft-", suffix=".arrow", delete=False) as file:
            self._path = Path(file.name)
        self._writer = pa.ipc.new_file(str(self._path), self.schema)
        for batch in self._held:
            self._append(self._writer, batch)
        self._held.clear()

    def _append(self, writer: pa.RecordBatchFileWriter, batch: pa.RecordBatch) -> None:
        try:
            writer.write_batch(batch)
        except OSError as error:
            if self._path:
                self._path.unlink(missing_ok=True)
            asked = f"keep the rows of a large data set in {tempfile.gettempdir()}"
            raise StorageError(asked, str(error), "free some space, or set TMPDIR to a folder with more of it") from error
