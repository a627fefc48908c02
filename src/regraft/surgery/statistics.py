"""A head made of statistics: random features and a ridge solution, or class means. No gradient step ever made it.

    pooled features --> unit length --> random projection --> ReLU --> linear layer --> logits      ridge (RanPAC, 2307.02251)
    pooled features --> unit length -----------------------------------> linear layer --> logits      means

The projection is drawn once and never changes, so what is summed over examples (``evaluate.sums``) stays true whatever else is
added or taken away later.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.errors import TrunkError
from regraft.surgery.heads import POOLINGS
from regraft.surgery.specs import Statistics
from regraft.trunk.network import Network

SEED = 20230705
"""Of the projection: the same for every model, so that two generations of the same width can be added."""
CHUNK = 2048
SMALLEST = 1e-12


class StatisticsHead(nn.Module):
    """``width``: of the trunk's features. ``linear``: solved, never stepped. ``strength``: the ridge that it was solved with."""

    projection: Tensor | None
    strength: Tensor

    def __init__(self, width: int, num_classes: int, pooling: str, spec: Statistics) -> None:
        super().__init__()
        self.pooling, self.spec = pooling, spec
        drawn = None
        if spec.how == "ridge":
            drawn = torch.randn(width, spec.width, generator=torch.Generator().manual_seed(SEED))
        self.register_buffer("projection", drawn)
        self.register_buffer("strength", torch.zeros((), dtype=torch.float64))
        self.linear = nn.Linear(width if drawn is None else spec.width, num_classes, bias=False)
        nn.init.zeros_(self.linear.weight)

    def pool(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, width), before anything random."""
        return POOLINGS[self.pooling](features, mask)

    def lift(self, pooled: Tensor) -> Tensor:
        """(B, width) -> what the linear layer reads."""
        unit = pooled / pooled.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
        return unit if self.projection is None else (unit @ self.projection.to(unit)).relu()

    def lifted(self, pooled: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same in double precision, where rounding does not depend on which examples come together."""
        with torch.no_grad():
            return self.lift(torch.from_numpy(np.array(pooled, np.float64)).to(self.linear.weight.device)).cpu().numpy()

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, num_classes)."""
        return self.linear(self.lift(self.pool(features, mask)))

    @torch.no_grad()
    def take(self, weights: NDArray[np.float64], strength: float) -> None:
        """Stand ``weights`` (num_classes, columns) in the linear layer, which then has so many classes."""
        old = self.linear.weight
        if old.shape != weights.shape:
            self.linear = nn.Linear(weights.shape[1], weights.shape[0], bias=False, device=old.device, dtype=old.dtype)
            self.linear.weight.requires_grad_(old.requires_grad)
        self.linear.weight.copy_(torch.from_numpy(weights))
        self.strength.fill_(strength)


def stand(network: Network, spec: Statistics) -> tuple[str, ...]:
    """Put a statistics head in the place of the network's linear one; returns the names of its parameters."""
    linear = getattr(network.head, "linear", None)
    if not isinstance(linear, nn.Linear) or network.reads_columns:
        raise TrunkError(
            f"{spec.label} as the head", f"the head is a {type(network.head).__name__}", "a task with one label for each example"
        )
    head = StatisticsHead(network.trunk.width, linear.out_features, network.trunk.pooling, spec)
    network.head = head.to(linear.weight.device)
    return tuple(f"head.{name}" for name, _ in head.named_parameters())
