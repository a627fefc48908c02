"""The store's file system verbs over fsspec: ``memory://``, ``s3://``, ``gs://`` and the rest.

Object stores publish an object whole or not at all, which is all the atomicity that the store asks for. What needs a local file (tensors that
are mapped, checkpoints) is mirrored in the user's cache folder, by content, so that it is fetched once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from regraft import digest
from regraft.errors import StorageError
from regraft.lineage.files import Bytes, LocalFiles, storing


class RemoteFiles:
    """A folder behind a URL that fsspec knows."""

    def __init__(self, url: str) -> None:
        import fsspec

        with storing(f"open the store {url}", url):
            try:
                self._system, self._root = fsspec.core.url_to_fs(url)
            except (ValueError, ImportError) as error:
                raise StorageError(
                    f"open the store {url}", str(error), "install the package it names, or give --store a local folder"
                ) from error
        self.root = url
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        self._mirror = LocalFiles(cache / "regraft" / "stores" / digest.of_bytes(url.encode())[:16])

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    def read(self, path: str) -> bytes:
        return self._system.cat_file(self._at(path))

    def names(self, folder: str) -> list[str]:
        self._system.invalidate_cache(self._at(folder))
        try:
            return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in self._system.ls(self._at(folder), detail=False))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        return self._system.exists(self._at(path))

    def size(self, path: str) -> int:
        return int(self._system.size(self._at(path)) or 0)

    def modified_s(self, path: str) -> float:
        return self._system.modified(self._at(path)).timestamp()

    def touch(self, path: str) -> None:
        """Object stores cannot renew a date without a copy; their gc grace has to be longer than a run."""

    def write(self, path: str, parts: Iterable[Bytes]) -> None:
        with storing(f"write {path}", self.root):
            self._system.makedirs(self._at(path).rsplit("/", 1)[0], exist_ok=True)
            self._system.pipe_file(self._at(path), b"".join(parts))

    def create(self, path: str, data: bytes) -> bool:
        with storing(f"write {path}", self.root):
            self._system.makedirs(self._at(path).rsplit("/", 1)[0], exist_ok=True)
            try:
                self._system.pipe_file(self._at(path), data, mode="create")
            except FileExistsError:
                return False
            return True

    def remove(self, path: str) -> None:
        with storing(f"remove {path}", self.root):
            if self._system.exists(self._at(path)):
                self._system.rm_file(self._at(path))

    def local(self, path: str) -> Path:
        if not self._mirror.exists(path) or self._mirror.size(path) != self.size(path):
            self._mirror.write(path, [self.read(path)])
        return self._mirror.local(path)

    def folder(self, path: str) -> Path:
        return self._mirror.folder(path)
