"""An exponential moving average of what trains: often a better model than the last step's (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Ema:
    """Averages of ``live`` tensors, by name. The decay grows as (1 + t) / (10 + t) until it reaches ``decay``, so that
    a short phase does not remember its start for ever. Integer tensors (counters of batch-norm) are copied."""

    def __init__(self, live: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.live = dict(live)
        self.average = {name: tensor.detach().clone() for name, tensor in live.items()}
        floats = [name for name, tensor in self.live.items() if tensor.is_floating_point()]
        self._live = [self.live[name].detach() for name in floats]
        self._average = [self.average[name] for name in floats]
        self._counters = [name for name in self.live if name not in floats]

    @torch.no_grad()
    def update(self) -> None:
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        torch._foreach_lerp_(self._average, self._live, 1.0 - decay)
        for name in self._counters:
            self.average[name].copy_(self.live[name])

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the live tensors with their averages; twice is nothing."""
        for name, tensor in self.live.items():
            kept = tensor.detach().clone()
            tensor.copy_(self.average[name])
            self.average[name].copy_(kept)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state(self) -> dict[str, object]:
        return {"num_updates": self.num_updates, "average": self.average}

    @torch.no_grad()
    def load(self, state: Mapping[str, object]) -> None:
        self.num_updates = int(state["num_updates"])  # type: ignore[call-overload]
        for name, tensor in state["average"].items():  # type: ignore[attr-defined]
            self.average[name].copy_(tensor)
