"""A file of raw bytes written once from front to back, with a digest for each piece of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHUNK_BYTES = 4 << 20


class ChunkedFile:
    """``write`` appends; ``digests`` after ``close`` has one SHA-256 for each ``CHUNK_BYTES``."""

    def __init__(self, path: Path) -> None:
        self.num_bytes = 0
        self.digests: list[str] = []
        self._file = path.open("wb", buffering=0)
        self._hasher, self._room = hashlib.sha256(), CHUNK_BYTES

    def write(self, data: memoryview) -> None:
        for start in range(0, len(data), CHUNK_BYTES):
            self._hash(data[start : start + CHUNK_BYTES])
        while data:
            written = self._file.write(data)
            self.num_bytes += written
            data = data[written:]

    def close(self) -> None:
        if self._room < CHUNK_BYTES:
            self._next_chunk()
        self._file.close()

    def _hash(self, data: memoryview) -> None:
        while data:
            piece, data = data[: self._room], data[self._room :]
            self._hasher.update(piece)
            self._room -= len(piece)
            if not self._room:
                self._next_chunk()

    def _next_chunk(self) -> None:
        self.digests.append(self._hasher.hexdigest())
        self._hasher, self._room = hashlib.sha256(), CHUNK_BYTES


def is_intact(path: Path, num_bytes: int, digests: list[str]) -> bool:
    """Whether the file has this size and every piece its digest."""
    if not path.is_file() or path.stat().st_size != num_bytes:
        return False
    with path.open("rb") as file:
        return [hashlib.sha256(chunk).hexdigest() for chunk in iter(lambda: file.read(CHUNK_BYTES), b"")] == digests
