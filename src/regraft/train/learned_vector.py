"""A few numbers that are learned beside the network, by Adam, from gradients that are handed in: weights of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class LearnedVector:
    """``values`` (T,) float64. ``decay``: what is added to a gradient for each unit of a value (L2, as torch's Adam has it)."""

    def __init__(self, values: Tensor, *, lr: float, decay: float = 0.0) -> None:
        self._parameter = nn.Parameter(values.double())
        self._optimizer = torch.optim.Adam([self._parameter], lr=lr, weight_decay=decay)

    @property
    def values(self) -> Tensor:
        return self._parameter.detach()

    def step(self, gradient: Tensor) -> None:
        """One step of Adam (Kingma and Ba 2014, 1412.6980) down ``gradient`` (T,)."""
        self._parameter.grad = gradient.to(self._parameter)
        self._optimizer.step()
        self._parameter.grad = None

    @torch.no_grad()
    def set(self, values: Tensor) -> None:
        self._parameter.copy_(values)

    def state(self) -> dict[str, Any]:
        return {"values": self.values, "optimizer": self._optimizer.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.set(state["values"])
        self._optimizer.load_state_dict(state["optimizer"])
