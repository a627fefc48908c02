"""A table that grows past memory is the same table."""

from __future__ import annotations

import pyarrow as pa
import pytest

from regraft.data.spool import Spool
from regraft.errors import StorageError

SCHEMA = pa.schema([("text", pa.string())])


def batches(count: int) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_pydict({"text": [f"{batch}.{row}" for row in range(100)]}, SCHEMA) for batch in range(count)]


@pytest.mark.parametrize("memory_bytes", [0, 3_000, 1 << 30])
def test_rows_come_back_in_order_from_memory_and_from_disk(tmp_path, monkeypatch, memory_bytes):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = Spool(SCHEMA, memory_bytes=memory_bytes)
    for batch in batches(20):
        spool.write(batch)
    table = spool.table()
    assert table.column("text").to_pylist() == [f"{batch}.{row}" for batch in range(20) for row in range(100)]
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_rows_on_disk_cost_no_memory(tmp_path):
    spool = Spool(SCHEMA, memory_bytes=0)
    before = pa.total_allocated_bytes()
    for batch in batches(200):
        spool.write(batch)
    table = spool.table()
    assert table.num_rows == 20_000
    assert pa.total_allocated_bytes() - before < table.nbytes / 4


def test_no_rows_are_an_empty_table():
    assert Spool(SCHEMA).table().num_rows == 0


def test_a_full_disk_says_where_and_what_to_do(monkeypatch):
    class Full:
        def write_batch(self, batch):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(pa.ipc, "new_file", lambda *_: Full())
    with pytest.raises(StorageError, match=r"No space left on device\ntry:   free some space, or set TMPDIR"):
        Spool(SCHEMA, memory_bytes=0).write(batches(1)[0])
