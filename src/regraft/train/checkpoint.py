"""Resume points on disk. Each is written beside its place and then moved there, so a kill leaves the old one or the new one.

good.pt   at fixed steps: the start of every phase, then the end of the first epoch at least ``GOOD_STEPS`` later.
          What a run goes back to when its loss is no longer finite; fixed, so that the same run always goes back
          to the same place.
last.pt   wherever the run was when the clock said so, and when it was interrupted
best.pt   the weights of the best epoch on valid, no more
entry.pt  the weights that the last phase began with, where it ends between them and the trained ones (``wise_ft``)
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from regraft.errors import DamagedError, RequestError, StorageError

GOOD, LAST, BEST, ENTRY = "good.pt", "last.pt", "best.pt", "entry.pt"
GOOD_STEPS = 500
EVERY_S = 60.0
COST_LIMIT = 0.02
"""The share of the time that ``last.pt`` may take."""


class Checkpoints:
    """The resume points of one run in ``folder``. ``identity``: what must be the same for a resume to make sense."""

    def __init__(self, folder: Path, identity: Mapping[str, str], *, writes: bool = True) -> None:
        self.folder, self.identity, self.writes = folder, dict(identity), writes
        self._written = time.perf_counter()
        self._cost = 0.0

    def clear(self) -> None:
        for name in (GOOD, LAST, BEST, ENTRY):
            (self.folder / name).unlink(missing_ok=True)

    def is_due(self, *, epoch_ended: bool) -> bool:
        """After every epoch and every ``EVERY_S`` seconds, but never so often that writing takes more than 2% of the time."""
        since = time.perf_counter() - self._written
        return since >= self._cost / COST_LIMIT and (epoch_ended or since >= EVERY_S)

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        if not self.writes:
            return
        begin = time.perf_counter()
        path, part = self.folder / name, self.folder / f".{name}.{os.getpid()}"
        try:
            torch.save({**state, "identity": self.identity}, part)
            os.replace(part, path)
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            raise StorageError(
                f"write {path}", str(error).splitlines()[0], "free some disk space, then the same command with --resume"
            ) from error
        if name == LAST:
            self._written = time.perf_counter()
            self._cost = self._written - begin

    def load(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise DamagedError(f"read {path}", "it is cut off or overwritten", "the same command without --resume") from error
        return state

    def latest(self) -> dict[str, Any] | None:
        """The furthest state on disk, ``None`` where there is none yet.

        A state after more recoveries is further, whatever its step: the path before them was given up.
        """
        there = [name for name in (GOOD, LAST) if (self.folder / name).exists()]
        found, damage = [], None
        for name in there:
            try:
                found.append(self.load(name))
            except DamagedError as error:
                damage = error
        if damage and not found:
            raise damage
        if not found:
            return None
        state = max(found, key=lambda each: each["position"])
        self._check(state["identity"])
        return state

    def _check(self, identity: Mapping[str, str]) -> None:
        for what, value in self.identity.items():
            if identity.get(what) != value:
                raise RequestError(
                    f"resume the run in {self.folder}",
                    f"it was started with another {what} ({identity.get(what, 'none')[:12]} there, {value[:12]} here)",
                    "the command it was started with, or a new --name",
                )
