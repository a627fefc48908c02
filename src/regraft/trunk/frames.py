"""How many frames a trunk makes of a clip, without computing one: its shapes on a copy without weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regraft.trunk.trunk import Trunk
from regraft.trunk.weightless import weightless

SHORT_S, LONG_S = 1, 3
NEAR = 2
"""Frames by which the straight line through two lengths may be off."""


class Frames:
    """``counted(lengths)``: frames of clips of so many samples, each alone; ``step``: samples from one frame to the next."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk
        self._host: nn.Module = weightless(trunk.host).eval()
        rate = trunk.input.sample_rate or 1
        self._known: dict[int, int] = {}
        short, long = SHORT_S * rate, LONG_S * rate
        self.step = (long - short) / max(self.of(long) - self.of(short), 1)
        self._first = self.of(short) - short / self.step

    def of(self, length: int) -> int:
        if length not in self._known:
            self._known[length] = self._measured(length)
        return self._known[length]

    def counted(self, lengths: NDArray[np.integer] | Sequence[int], wanted: NDArray[np.integer]) -> NDArray[np.int64]:
        """(n,) exact wherever the line through two lengths leaves it open whether a clip has the frames ``wanted`` (n,)."""
        lengths = np.asarray(lengths, np.int64)
        found = np.floor(self._first + lengths / self.step).astype(np.int64)
        for row in np.flatnonzero(np.abs(found - wanted) <= NEAR):
            found[row] = self.of(int(lengths[row]))
        return found

    def _measured(self, length: int) -> int:
        """On ``meta``; a model whose forward looks at values hears silence in its stead."""
        with torch.no_grad():
            try:
                found = self._trunk.run(self._host, {"input_values": torch.zeros(1, length, device="meta")})
            except (RuntimeError, NotImplementedError):
                found = self._silence(length)
        return int(found.shape[1])

    def _silence(self, length: int) -> torch.Tensor:
        host = self._trunk.host
        device, was_training = next(host.parameters()).device, host.training
        try:
            return self._trunk.run(host.eval(), {"input_values": torch.zeros(1, length, device=device)})
        finally:
            host.train(was_training)
