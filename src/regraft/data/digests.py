"""The content hashes of the examples of a split, in their order, kept as Arrow keeps them: 68 bytes for each, where a list of Python's texts takes 121."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import final, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from regraft import digest
from regraft.data import arrow

CHUNK = 4_096
KEY_LETTERS = 16


@final
class Digests(Sequence[str]):
    """Hashes in hex, read like a list. ``column``: of strings; a split and what is encoded from it share one."""

    __slots__ = ("column",)

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.column = column

    @classmethod
    def of(cls, digests: Iterable[str]) -> Digests:
        if isinstance(digests, Digests):
            return digests
        return cls(pa.chunked_array([arrow.array(list(digests), pa.string())]))

    def __len__(self) -> int:
        return len(self.column)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), CHUNK):
            yield from self.column.slice(start, CHUNK).to_pylist()

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Digests: ...
    def __getitem__(self, place: int | slice) -> str | Digests:
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        found: str = self.column[place].as_py()
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Digests) -> Digests:
        """Both, one after the other; nothing is copied."""
        return Digests(pa.chunked_array([*self.column.chunks, *other.column.chunks], pa.string()))

    def take(self, rows: NDArray[np.integer]) -> Digests:
        return Digests(self.column.take(arrow.array(rows, pa.int64())))

    @property
    def keys(self) -> NDArray[np.uint64]:
        """(n,) the first 8 bytes of each."""
        keys = np.empty(len(self), np.uint64)
        for start in range(0, len(self), CHUNK):
            some = [one[:KEY_LETTERS].zfill(KEY_LETTERS) for one in self.column.slice(start, CHUNK).to_pylist()]
            keys[start : start + len(some)] = np.frombuffer(bytes.fromhex("".join(some)), ">u8")
        return keys

    def together(self, *more: str) -> str:
        """One digest for all of them in their order and ``more`` behind them: ``regraft.digest.of_digests``, without a text of all of them."""
        after = "".join(f"\n{one}" for one in more).encode()[0 if len(self) else 1 :]
        return digest.of_pieces(chain(self._texts(), [after]), sum(map(len, self._texts())) + len(after))

    def _texts(self) -> Iterator[bytes]:
        for start in range(0, len(self), CHUNK):
            text = "\n".join(self.column.slice(start, CHUNK).to_pylist())
            yield (f"\n{text}" if start else text).encode()
