"""Reading entries: memory-mapped, gathered by row, padded to the longest row of the batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.cache.chunked import is_intact
from regraft.cache.layout import Layout, TensorLayout
from regraft.cache.locks import FolderLock
from regraft.cache.writer import FORMAT, HEADER, INDEX
from regraft.digest import canonical_json, of_bytes
from regraft.errors import DamagedError

Rows = Sequence[int] | np.ndarray | Tensor


class Entries:
    """The entries of every row of a split: ``len()``, ``num_bytes``, ``batch(rows)``.

    ``Entries.open`` checks every byte against its digest and holds the folder, so that nothing evicts it, until ``close``.
    """

    def __init__(self, key: str, layout: Layout, index: Tensor, flats: list[Tensor], lock: FolderLock | None = None) -> None:
        self.key, self.layout = key, layout
        self._starts, self._steps = index
        self._flats, self._lock = flats, lock

    @classmethod
    def open(cls, folder: Path, key: str) -> Entries:
        """Raises ``DamagedError`` for anything but whole entries of this key and format."""
        lock = FolderLock.take(folder, alone=False)
        if lock is None:
            raise DamagedError(f"open the cached entries {key}", "another process is removing them", "compute them again")
        try:
            body = _checked_header(folder, key)
            layout = Layout(tuple(TensorLayout.from_json(tensor) for tensor in body["tensors"]))
            index = torch.from_numpy(np.fromfile(folder / INDEX, dtype="<i8").reshape(2, -1))
            flats = [
                _mapped(folder / f"{place}.bin", tensor, file)
                for place, (tensor, file) in enumerate(zip(layout.tensors, body["files"], strict=True))
            ]
        except BaseException:
            lock.release()
            raise
        return cls(key, layout, index, flats, lock)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def num_bytes(self) -> int:
        return sum(flat.nbytes for flat in self._flats)

    @property
    def is_open(self) -> bool:
        return self._lock is not None

    def batch(self, rows: Rows) -> dict[str, Tensor]:
        """The entries of ``rows``, as the live tensors lay: padded with zeros to the longest of these rows, in the stored type."""
        rows = torch.as_tensor(rows, dtype=torch.int64)
        starts = self._starts[rows]
        if not self.layout.is_ragged:
            return {tensor.name: self._whole(tensor, flat, starts) for tensor, flat in self._pairs()}
        steps = self._steps[rows]
        longest = int(steps.max()) if len(rows) else 0
        place = torch.arange(longest)
        where = (starts[:, None] + place).masked_fill_(place >= steps[:, None], self._total_steps())
        return {
            tensor.name: tensor.to_live(flat.index_select(0, where.view(-1)).view(len(rows), longest, *tensor.row[1:]))
            for tensor, flat in self._pairs()
        }

    def in_memory(self) -> Entries:
        """The same entries, read into memory; the folder is no longer needed."""
        return Entries(self.key, self.layout, torch.stack([self._starts, self._steps]), [flat.clone() for flat in self._flats])

    def close(self) -> None:
        """Let go of the folder: it may be evicted from now on. What is mapped stays readable."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _pairs(self) -> Iterator[tuple[TensorLayout, Tensor]]:
        return zip(self.layout.tensors, self._flats, strict=True)

    def _total_steps(self) -> int:
        return next(len(flat) for tensor, flat in self._pairs() if tensor.is_ragged) - 1

    def _whole(self, tensor: TensorLayout, flat: Tensor, starts: Tensor) -> Tensor:
        return tensor.to_live(flat.index_select(0, starts).view(len(starts), *tensor.row))


def _checked_header(folder: Path, key: str) -> dict[str, Any]:
    """The header's body, after everything that it describes was found to be so."""
    try:
        header = json.loads((folder / HEADER).read_text())
        body = header["body"]
        sound = header["digest"] == of_bytes(canonical_json(body)) and body["format"] == FORMAT and body["key"] == key
        sound = sound and of_bytes((folder / INDEX).read_bytes()) == body["index"]
        sound = sound and all(is_intact(folder / f"{i}.bin", file["bytes"], file["digests"]) for i, file in enumerate(body["files"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"open the cached entries {key}", f"unreadable: {error}", "compute them again") from error
    if not sound:
        raise DamagedError(
            f"open the cached entries {key}", "bytes that do not match their digests, or another format", "compute them again"
        )
    return body


def _mapped(path: Path, tensor: TensorLayout, file: dict[str, Any]) -> Tensor:
    """(steps or rows, width), mapped from the file."""
    dtype: torch.dtype = getattr(torch, file["stored_dtype"])
    count = file["bytes"] // dtype.itemsize
    if not count:
        return torch.empty(0, tensor.width, dtype=dtype)
    return torch.from_file(str(path), shared=False, size=count, dtype=dtype).view(-1, tensor.width)
