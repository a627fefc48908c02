"""Who is using a folder of the cache, and whose turn it is to fill one: advisory locks on files, given up by the system when their holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a mapped file cannot be removed there, which protects what is in use
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"


class FolderLock:
    """Held until ``release``, until nobody refers to it, or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, folder: Path, *, alone: bool) -> FolderLock | None:
        """A lock on ``folder``, shared or ``alone``; ``None`` at once where somebody else's stands against it, or the folder is gone."""
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError:
            return None
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(folder / LOCK)):
                return cls(descriptor)
        except OSError:
            pass  # held by another, or removed in between: not ours
        os.close(descriptor)
        return None

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Alone with what ``path`` stands for: after everybody who came first is done, or dead. At once where the system has no such locks, or ``path``
    cannot be written. The file is gone afterwards."""
    descriptor = _waited_for(path)
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _waited_for(path: Path) -> int | None:
    while fcntl is not None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # whoever had it took the file away: there is a new one, or none
        except OSError:
            os.close(descriptor)
            return None
        os.close(descriptor)
    return None
