"""Images as uint8 pixels: each file decoded and resized once, by worker threads, while the caller already goes on.

encode -> workers fill the array from the front          batch(rows) -> decodes what is still missing among its rows
"""

from __future__ import annotations

import atexit
import os
import tempfile
import weakref
from collections.abc import Sequence
from functools import cache
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from regraft import digest
from regraft.data import arrays, masks
from regraft.data.dataset import Split
from regraft.data.decode import Framing, decode
from regraft.data.encoded import IGNORE, Encoded, Progress
from regraft.data.masks import VOID
from regraft.errors import DataError, StorageError
from regraft.spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 32
MEMORY_BYTES = 1 << 30


@final
class ImageEncoded(Encoded):
    """``pixels`` (n, height, width, 3) uint8, filled in the background; two threads that decode one row write the same bytes. ``marks`` (n, height,
    width) uint8: the classes of the pixels, where the targets are masks."""

    def __init__(
        self, split: Split, framing: Framing, pixels: np.ndarray, *, marks: np.ndarray | None = None, progress: Progress | None = None
    ) -> None:
        super().__init__(split.targets, split.digests, digest.of_json({"kind": "image", **framing.json()}))
        self.pixels, self.marks, self._facts = pixels, marks, split.facts
        self._paths, self._framing, self._progress = split.inputs, framing, progress
        self._done = np.zeros(len(split), dtype=np.bool_)
        self._failure: DataError | None = None
        me = weakref.ref(self)
        self._jobs = [workers().apply_async(_decode_chunk, (me, start)) for start in range(0, len(split), CHUNK)]

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        import torch

        self._decode(chosen := np.asarray(rows, dtype=np.int64))
        return {"image": torch.from_numpy(self.pixels[chosen]).permute(0, 3, 1, 2)}

    def _decode(self, rows: np.ndarray) -> None:
        if self._failure is not None:
            raise self._failure
        for row in rows[~self._done[rows]]:
            self.decode_row(int(row))

    def target_batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> Tensor:
        if self.marks is None:
            return super().target_batch(rows, width=width)
        import torch

        self._decode(chosen := np.asarray(rows, dtype=np.int64))
        found = torch.from_numpy(self.marks[chosen]).long()
        return found.masked_fill_(found == VOID, IGNORE)

    def wait(self) -> None:
        for job in self._jobs:
            job.get()

    def decode_row(self, row: int) -> None:
        if not self._done[row]:
            self.pixels[row] = decode(self._paths[row], self._framing)
            if self.marks is not None and self.targets[row]:
                self.marks[row] = masks.resized(masks.classes_at(self.targets[row], self._facts), self._framing.size)
            self._done[row] = True

    def decode_chunk(self, start: int) -> None:
        if self._failure is not None:
            raise self._failure
        stop = min(start + CHUNK, len(self))
        try:
            for row in range(start, stop):
                self.decode_row(row)
        except DataError as error:
            self._failure = error
            raise
        if self._progress is not None:
            self._progress(int(self._done.sum()), len(self))


def _decode_chunk(owner: weakref.ref[ImageEncoded], start: int) -> None:
    """One job; it does nothing once nobody holds the result any more."""
    encoded = owner()
    if encoded is not None:
        encoded.decode_chunk(start)


@cache
def workers() -> ThreadPool:
    """The threads that decode, one per core that this process may use; Pillow lets go of the interpreter lock while it decodes.

    Unlike those of ``concurrent.futures`` they do not hold up the end of the process until every queued image is decoded.
    """
    pool = ThreadPool(cores())
    atexit.register(pool.terminate)
    return pool


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def encode_images(
    split: Split,
    spec: InputSpec,
    *,
    margin: float = 1.0,
    progress: Progress | None = None,
    memory_bytes: int = MEMORY_BYTES,
    folder: Path | None = None,
) -> ImageEncoded:
    """Start decoding a split. Above ``memory_bytes`` the pixels lie in a memory-mapped file in ``folder`` (default: the system's)."""
    masked = split.table.schema.field("target").type == arrays.MASK
    framing = Framing.of(spec, margin=margin, whole=masked)
    pixels = roomy_array((len(split), *framing.size, 3), memory_bytes=memory_bytes, folder=folder)
    marks = roomy_array((len(split), *framing.size), memory_bytes=memory_bytes, folder=folder) if masked else None
    if marks is not None:
        marks.fill(VOID)  # of an image without a mask, which is to be answered
    return ImageEncoded(split, framing, pixels, marks=marks, progress=progress)


def roomy_array(
    shape: tuple[int, ...], *, memory_bytes: int, folder: Path | None, dtype: type[np.integer] = np.uint8, setting: str = "input_size"
) -> np.ndarray:
    """An array in memory, or in a nameless file that the system removes with the process, however that ends. ``setting``: what makes it smaller."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size <= memory_bytes:
        return np.empty(shape, dtype=dtype)
    where = folder or Path(tempfile.gettempdir())
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where) as file:
            reserve(file.fileno(), size)
            return np.memmap(file, dtype=dtype, mode="r+", shape=shape)
    except OSError as error:
        advice = f"free some space, another folder, or a smaller --set {setting}"
        raise StorageError(f"keep {size:,} decoded bytes in {where}", error.strerror or str(error), advice) from error


def reserve(descriptor: int, size: int) -> None:
    """Claim the space now: a full disk is an error here, but would be a crash at some later write into the mapped memory."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
