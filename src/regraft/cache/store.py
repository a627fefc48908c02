"""The store of cached activations: one folder per key, written once, checked when opened, evicted by last use.

<folder>/<key>/                    whole entries, and only those: they appear by one rename
<folder>/.partial-<key>-<random>/  being written; swept by the next process once its writer is gone
<folder>/.turn-<key>               one process computes these entries, the others wait to read them
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

import numpy as np
from torch import Tensor

from regraft.cache.entries import Entries
from regraft.cache.layout import Layout
from regraft.cache.locks import FolderLock, turn
from regraft.cache.writer import HEADER, Writer, writing_errors
from regraft.errors import DamagedError, RequestError, StorageError
from regraft.trunk.trunk import Inputs

PARTIAL = ".partial-"
TURN = ".turn-"
ABANDONED_S = 3600.0


class Cache:
    """Entries by key under ``folder``, together at most ``limit_bytes``: the least recently used ones go first, those in use never."""

    def __init__(self, folder: Path | str, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = Path(folder), limit_bytes
        self._open: dict[str, Entries] = {}
        self._sweep()

    def get(self, key: str) -> Entries | None:
        """The entries of ``key``, every byte checked, or ``None``. Damaged or outdated ones are removed and count as absent."""
        folder = self._path(key)
        known = self._open.get(key)
        if known is not None and known.is_open:
            return known
        if not folder.is_dir():
            return None
        try:
            entries = Entries.open(folder, key)
        except DamagedError:
            self._remove(folder)
            return None
        os.utime(folder / HEADER)
        self._open[key] = entries
        return entries

    def __contains__(self, key: str) -> bool:
        """Are there entries of ``key``? Whether they are sound shows when they are opened."""
        return self._path(key).is_dir()

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Alone with the entries of ``key``: whoever finds them missing asks for its turn, looks again, and only then computes them. So of several
        processes on one store (``torchrun``, a race) one does the work. Not to be taken twice by one thread."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        with turn(self.folder / f"{TURN}{self._path(key).name}"):
            yield

    def fill(
        self,
        key: str,
        batches: Iterable[tuple[Sequence[int] | np.ndarray, Inputs]],
        capture: Callable[[Inputs], Mapping[str, Tensor]],
        *,
        layout: Layout,
        num_rows: int,
        lengths: Sequence[int] | np.ndarray | None = None,
        dtype: str | None = None,
    ) -> Entries:
        """Capture every batch and store it. ``batches``: (rows, inputs); ``lengths``: of every row's input, where a length varies;
        ``dtype``: ``float32 bfloat16 float16`` for what is floating, by default as live.

        Raises ``StorageError`` where it does not fit (disk, limit) or cannot be written: the caller then trains live.
        """
        with self.writing({key: layout}, num_rows=num_rows, lengths=lengths, dtype=dtype) as writers:
            for rows, inputs in batches:
                writers[key].add(rows, capture(inputs))
        return self.opened(key)

    @contextmanager
    def writing(
        self,
        layouts: Mapping[str, Layout],
        *,
        num_rows: int,
        lengths: Sequence[int] | np.ndarray | None = None,
        dtype: str | None = None,
    ) -> Iterator[dict[str, Writer]]:
        """One writer per key, for a loop that also trains on what it captures; all are published on leaving, none on an error."""
        self._make_room(sum(layout.num_bytes(num_rows, lengths=lengths, dtype=dtype) for layout in layouts.values()))
        locks: list[FolderLock | None] = []
        writers: dict[str, Writer] = {}
        try:
            for key, layout in layouts.items():
                folder = self._partial(key)
                locks.append(FolderLock.take(folder, alone=True))
                writers[key] = Writer(folder, layout, num_rows=num_rows, lengths=lengths, dtype=dtype)
            yield writers
            for key, writer in writers.items():
                writer.finish(key)
                self._publish(key, writer.folder)
        finally:
            for writer in writers.values():
                writer.close()
                shutil.rmtree(writer.folder, ignore_errors=True)
            for lock in locks:
                if lock is not None:
                    lock.release()

    def opened(self, key: str) -> Entries:
        """``get``, where the entries must be there."""
        entries = self.get(key)
        if entries is None:
            raise StorageError(
                f"read the entries just written to {self.folder}", "they are damaged or gone", "check the disk, or train live"
            )
        return entries

    @property
    def num_bytes(self) -> int:
        return sum(_size(folder) for folder in self._folders())

    def close(self) -> None:
        """Let go of everything that this object holds open."""
        for entries in self._open.values():
            entries.close()
        self._open.clear()

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        if not key.isalnum():
            raise RequestError(f"cache key {key!r}", "not a digest", "a key made by cache.key.key(...)")
        return self.folder / key

    def _partial(self, key: str) -> Path:
        name = self._path(key).name
        with writing_errors(self.folder):
            return Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{name[:16]}-", dir=self.folder))

    def _publish(self, key: str, partial: Path) -> None:
        """Rename into place; where another process came first, its entries stand, if they are sound."""
        for may_retry in (True, False):
            try:
                os.rename(partial, self._path(key))
                return
            except OSError as error:
                if not self._path(key).exists() or not may_retry:
                    raise StorageError(f"publish entries in {self.folder}", str(error), "another --store, or train live") from error
            if self.get(key) is not None:
                return

    def _make_room(self, wanted: int) -> None:
        if wanted > self.limit_bytes:
            raise StorageError(
                f"cache {_mb(wanted)}", f"the limit is {_mb(self.limit_bytes)}", "a larger limit, half precision, or train live"
            )
        self._sweep()
        for folder in sorted(self._folders(), key=_last_use):
            if self.num_bytes + wanted <= self.limit_bytes:
                break
            self._remove(folder)
        if (held := self.num_bytes) + wanted > self.limit_bytes:
            raise StorageError(
                f"cache {_mb(wanted)}", f"{_mb(held)} of the limit of {_mb(self.limit_bytes)} are in use", "a larger limit, or train live"
            )
        with writing_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        if wanted > free:
            raise StorageError(
                f"cache {_mb(wanted)} in {self.folder}", f"{_mb(free)} free", "another --store, half precision, or train live"
            )

    def _folders(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_dir() and path.name.isalnum()] if self.folder.is_dir() else []

    def _remove(self, folder: Path) -> None:
        """Take a folder away unless somebody uses it: out of sight first, by one rename."""
        if (lock := FolderLock.take(folder, alone=True)) is None:
            return
        try:
            grave = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}gone-", dir=self.folder))
            os.rename(folder, grave / "entries")
            shutil.rmtree(grave, ignore_errors=True)
        except OSError:
            return  # another process was faster
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Remove what killed processes left behind."""
        for folder in self.folder.glob(PARTIAL + "*") if self.folder.is_dir() else ():
            if (folder / "lock").exists():
                lock = FolderLock.take(folder, alone=True)
                if lock is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    lock.release()
            elif time() - _last_use(folder) > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return 0  # removed by another process meanwhile


def _last_use(folder: Path) -> float:
    try:
        return (folder / HEADER if (folder / HEADER).exists() else folder).stat().st_mtime
    except OSError:
        return 0.0


def _mb(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"
