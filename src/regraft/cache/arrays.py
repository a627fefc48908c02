"""A few large arrays by name, kept beside the activations: sums that would take long to make again. Losing them costs time and nothing else."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
KEPT = 4
"""The latest so many stay."""


class KeptArrays:
    """``folder``: made when something is first put."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Arrays | None:
        """What was put under ``key``; ``None`` where it is not there, or cannot be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self._path(key)
        try:
            found: Arrays = load_file(path)
        except (OSError, SafetensorError):
            return None
        with suppress(OSError):
            os.utime(path)
        return found

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep ``arrays``; a disk that is full or read-only keeps nothing."""
        from safetensors.numpy import save_file

        temporary = self.folder / f".{uuid.uuid4().hex}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
            os.replace(temporary, self._path(key))
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return
        self._thin()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _thin(self) -> None:
        files = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[KEPT:]:
            with suppress(OSError):
                path.unlink()
