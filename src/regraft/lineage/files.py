"""The store's seam to the file system: a dozen verbs, here for local disks; ``remote.py`` has the same verbs over fsspec.

Paths are relative, with forward slashes. A write is whole or absent: the bytes go to a temporary file in the same folder, are flushed to the
disk, and take their name in one step; the folder is flushed after it.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from regraft.errors import StorageError

TEMPORARY = ".tmp-"
UNPACKING = ".import-"
"""How the folders in ``runs/`` begin in which bundles are unpacked; no run may be called so."""
Bytes = bytes | bytearray | memoryview

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class Files(Protocol):
    """What the store asks of a file system. Reading what is absent raises ``FileNotFoundError``; a failed write ``StorageError``."""

    root: str

    def read(self, path: str) -> bytes: ...
    def names(self, folder: str) -> list[str]:
        """File and folder names, sorted, temporary files among them; empty where there is no such folder."""
        ...

    def exists(self, path: str) -> bool: ...
    def size(self, path: str) -> int: ...
    def modified_s(self, path: str) -> float:
        """Seconds since 1970 of the last change."""
        ...

    def touch(self, path: str) -> None: ...
    def write(self, path: str, parts: Iterable[Bytes]) -> None:
        """Write the parts one after the other; replaces what is there."""
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Write ``data`` if nothing has that path yet; says whether it did. Of two writers at once one wins."""
        ...

    def remove(self, path: str) -> None: ...
    def local(self, path: str) -> Path:
        """A file on this machine with the content of ``path``."""
        ...

    def folder(self, path: str) -> Path:
        """A folder on this machine, made if need be, for what never leaves it (checkpoints, caches)."""
        ...


@contextmanager
def storing(asked: str, root: str, *, passing: type[OSError] = StorageError) -> Iterator[None]:
    """Turn the operating system's refusals into ``StorageError`` with advice; ``passing`` is an error that the caller expects."""
    try:
        yield
    except (StorageError, passing):
        raise
    except OSError as error:
        if error.errno in FULL:
            found, advice = (
                f"no space left in {root}",
                "free some space (`regraft gc` lists what can go) or give --store another disk; then run again",
            )
        elif error.errno in READ_ONLY:
            found, advice = (
                f"{root} may not be used so ({error.strerror})",
                "give --store a folder that you may read and write, or change its permissions",
            )
        else:
            found, advice = f"the system said: {error}", "check the disk behind this folder, or give --store another one"
        raise StorageError(asked, found, advice) from error


class LocalFiles:
    """A folder on this machine. Nothing is made before the first write."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.root = str(root)

    def read(self, path: str) -> bytes:
        with storing(f"read {path}", self.root, passing=FileNotFoundError):
            return (self._root / path).read_bytes()

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._root / folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, path: str) -> bool:
        return (self._root / path).exists()

    def size(self, path: str) -> int:
        return (self._root / path).stat().st_size

    def modified_s(self, path: str) -> float:
        return (self._root / path).stat().st_mtime

    def touch(self, path: str) -> None:
        with suppress(OSError):  # another user's file, say; then only gc's grace period protects it
            os.utime(self._root / path)

    def write(self, path: str, parts: Iterable[Bytes]) -> None:
        with storing(f"write {path}", self.root), self._temporary(path, parts) as temporary:
            os.replace(temporary, self._root / path)

    def create(self, path: str, data: bytes) -> bool:
        with storing(f"write {path}", self.root), self._temporary(path, [data]) as temporary:
            try:
                os.link(temporary, self._root / path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                    raise
                return self._create_without_links(path, data)
            return True

    def remove(self, path: str) -> None:
        with storing(f"remove {path}", self.root):
            (self._root / path).unlink(missing_ok=True)

    def local(self, path: str) -> Path:
        if not self.exists(path):
            raise FileNotFoundError(path)
        return self._root / path

    def folder(self, path: str) -> Path:
        with storing(f"make the folder {path}", self.root):
            (self._root / path).mkdir(parents=True, exist_ok=True)
        return self._root / path

    @contextmanager
    def _temporary(self, path: str, parts: Iterable[Bytes]) -> Iterator[Path]:
        """A flushed temporary file beside ``path``; afterwards it is gone, however the block ended, and the folder is flushed."""
        folder = (self._root / path).parent
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}"
        try:
            with temporary.open("xb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            with suppress(OSError):  # renamed away, or never made; what stays is swept by gc
                temporary.unlink(missing_ok=True)
        _flush_folder(folder)

    def _create_without_links(self, path: str, data: bytes) -> bool:
        """For file systems without hard links: the name itself is taken exclusively, then filled."""
        try:
            with (self._root / path).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
        return True


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
