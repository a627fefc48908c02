"""Losses and gradient norms of the steps since they were last read: kept on the device, for reading one means waiting for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from regraft.train.ranks import Ranks


class NonFinite(Exception):
    """A loss or a gradient is infinite or not a number: not an error yet, a reason to go back to a good state."""


class Meter:
    """``loss``: the mean over the steps that were read last; not a number before the first."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.loss = math.nan
        self._losses: list[Tensor] = []
        self._norms: list[Tensor] = []

    def note(self, loss: Tensor, norm: Tensor | None) -> None:
        self._losses.append(loss)
        if norm is not None:
            self._norms.append(norm)

    def read(self) -> None:
        """Raises ``NonFinite`` where one of the steps noted since was not finite."""
        loss = self.ranks.total(torch.stack(self._losses)).mean().item()
        norm = torch.stack(self._norms).sum().item() if self._norms else 0.0
        self.forget()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise NonFinite
        self.loss = loss

    def forget(self) -> None:
        self._losses.clear()
        self._norms.clear()
