"""Writing the entries of a split once, in whatever order the batches come."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.cache.chunked import ChunkedFile
from regraft.cache.layout import Layout, TensorLayout, stored_dtype
from regraft.digest import canonical_json, of_bytes
from regraft.errors import DataError, StorageError

FORMAT = 1
HEADER, INDEX = "header.json", "index.bin"


class Writer:
    """``add`` batches, then ``finish``: in ``folder`` one flat little-endian file per tensor, an index, a header with a digest for each piece.

    Rows may come in any order and are appended as they come; the index says where each one starts. Padding is not written: of
    row r the first ``row_lengths[r]`` steps are. After the last row a ragged file holds one step of zeros, which padding is read from.
    """

    def __init__(
        self, folder: Path, layout: Layout, *, num_rows: int, lengths: Sequence[int] | np.ndarray | None, dtype: str | None
    ) -> None:
        self.folder, self.layout, self.num_rows, self._dtype = folder, layout, num_rows, dtype
        self._lengths = None if lengths is None else layout.row_lengths(lengths)
        if layout.is_ragged and (self._lengths is None or len(self._lengths) != num_rows):
            raise DataError(f"store {num_rows} rows without padding", "no length for each of them", "lengths=encoded.lengths")
        self._files = [ChunkedFile(folder / f"{place}.bin") for place in range(len(layout.tensors))]
        self._starts = np.full(num_rows, -1, dtype=np.int64)
        self._steps = np.zeros(num_rows, dtype=np.int64) if self._lengths is None else self._lengths
        self._rows_written = self._steps_written = 0

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self._files)

    @property
    def num_written(self) -> int:
        """Rows that are there already."""
        return self._rows_written

    def add(self, rows: Sequence[int] | np.ndarray, entries: Mapping[str, Tensor]) -> None:
        """The entries of a batch whose i-th example is row ``rows[i]``; a row that is there already is not written again."""
        given = np.asarray(rows, dtype=np.int64)
        new = self._starts[given] < 0
        kept = None if new.all() else torch.from_numpy(np.flatnonzero(new))
        rows = given[new]
        if not len(rows):
            return
        with writing_errors(self.folder.parent):
            for tensor, file in zip(self.layout.tensors, self._files, strict=True):
                stored = tensor.to_stored(entries[tensor.name].detach().cpu())
                self._write(tensor, file, stored if kept is None else stored[kept], rows)
        self._count(rows)

    def _write(self, tensor: TensorLayout, file: ChunkedFile, stored: Tensor, rows: np.ndarray) -> None:
        if stored.shape[2 if tensor.is_ragged else 1 :] != torch.Size(size for size in tensor.row if size != -1):
            raise DataError(f"store {tensor.name}", f"rows of {tuple(stored.shape[1:])} where {tensor.row} was expected",
                            "inputs of one size, or lengths=")  # fmt: skip
        if tensor.is_ragged:
            steps = torch.from_numpy(self._steps[rows])
            if int(steps.max()) > stored.shape[1]:
                raise DataError(
                    f"store {tensor.name}", f"{int(steps.max())} steps in a batch of {stored.shape[1]}", "the lengths of these rows"
                )
            stored = stored[torch.arange(stored.shape[1]) < steps[:, None]]
        converted = stored.to(stored_dtype(tensor, self._dtype)).contiguous()
        if converted.dtype == torch.float16 and not torch.isfinite(converted).all() and torch.isfinite(stored).all():
            raise DataError(f"store {tensor.name} in float16", "values beyond 65504", "bfloat16 or float32")
        file.write(_bytes_of(converted))

    def _count(self, rows: np.ndarray) -> None:
        """Where each of ``rows`` starts: for ragged entries in steps, else in rows."""
        if self.layout.is_ragged:
            ends = np.cumsum(self._steps[rows])
            self._starts[rows] = self._steps_written + ends - self._steps[rows]
            self._steps_written += int(ends[-1])
        else:
            self._starts[rows] = self._rows_written + np.arange(len(rows))
        self._rows_written += len(rows)

    def finish(self, key: str) -> None:
        """Write index and header; every row must have come."""
        missing = np.flatnonzero(self._starts < 0)
        if len(missing):
            raise StorageError(
                f"store {self.num_rows} rows", f"{len(missing)} never came, the first of them row {missing[0]}", "all rows of the split"
            )
        with writing_errors(self.folder.parent):
            for tensor, file in zip(self.layout.tensors, self._files, strict=True):
                if tensor.is_ragged:
                    file.write(_bytes_of(torch.zeros(tensor.width, dtype=stored_dtype(tensor, self._dtype))))
            self.close()
            index = np.stack([self._starts, self._steps]).astype("<i8").tobytes()
            (self.folder / INDEX).write_bytes(index)
            body = self._header(key, of_bytes(index))
            (self.folder / HEADER).write_text(json.dumps({"digest": of_bytes(canonical_json(body)), "body": body}))

    def _header(self, key: str, index_digest: str) -> dict[str, Any]:
        files = [
            {
                "stored_dtype": str(stored_dtype(tensor, self._dtype)).removeprefix("torch."),
                "bytes": file.num_bytes,
                "digests": file.digests,
            }
            for tensor, file in zip(self.layout.tensors, self._files, strict=True)
        ]
        return {
            "format": FORMAT,
            "key": key,
            "num_rows": self.num_rows,
            "index": index_digest,
            "tensors": self.layout.json(),
            "files": files,
        }

    def close(self) -> None:
        for file in self._files:
            file.close()


@contextmanager
def writing_errors(folder: Path) -> Iterator[None]:
    """What the system says about writing, as an error that a caller can turn into live training."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        raise StorageError(f"write cached activations to {folder}", "the disk is full" if full else str(error),
                           "another --store, or train live") from error  # fmt: skip


def _bytes_of(tensor: Tensor) -> memoryview:
    """The raw bytes of a contiguous tensor, without a copy."""
    return tensor.view(-1).view(torch.uint8).numpy().data
