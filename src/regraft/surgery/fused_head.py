"""A head that reads columns of a table beside the trunk's features.

    features (B, L, width) --> pooled --> layer norm --+
                                                       +--> dropout --> linear --> logits (B, k)
    columns  (B, c), standardised and one-hot ---------+

The norm has no parameters: it brings the features to the scale that the columns have. The layer is linear, so that it can be solved as any other.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from regraft.surgery.heads import INIT_STD, POOLINGS


@final
class FusedHead(nn.Module):
    """``width``: size of the features' last dimension; ``columns``: numbers beside each example; ``pooling``: as for ``LinearHead``."""

    reads_columns = True

    def __init__(self, width: int, columns: int, outputs: int, pooling: str = "none", dropout: float = 0.0) -> None:
        super().__init__()
        self.pooling = pooling
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width + columns, outputs)
        with torch.no_grad():
            self.linear.weight.normal_(0.0, INIT_STD)
            self.linear.bias.zero_()

    def pool(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, width), before the norm: all that depends on the trunk."""
        return POOLINGS[self.pooling](features, mask)

    def joined(self, pooled: Tensor, columns: Tensor) -> Tensor:
        """(B, width + c): what the linear layer reads, but for dropout."""
        return torch.cat([self.norm(pooled), columns.to(pooled)], dim=1)

    def forward(self, features: Tensor, mask: Tensor | None, columns: Tensor) -> Tensor:
        """Logits (B, outputs)."""
        return self.linear(self.dropout(self.joined(self.pool(features, mask), columns)))
