"""A head that answers at every place: a feature pyramid decoder (Lin et al. 2017, 1612.03144; Kirillov et al. 2019, 1901.02446), light enough for a CPU.

    features ------------------------> context (ParseNet, Liu et al. 2015, 1506.04579)
                                          |
    coarsest map -- 1x1 ----------------- + -> 3x3 ---+
    next map ------ 1x1 ---------------------- + <- up
    ...                                        3x3 ---+
    finest map ---- 1x1 ---------------------- + <- up -> 3x3 -> 1x1 -> logits (B, k, h, w) of the finest map's size

A trunk with maps of one size (a vision transformer) gets one row of it: a convolution over its patches.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from regraft.surgery.heads import INIT_STD

WIDTH = 64
GROUPS = 8


class PyramidHead(nn.Module):
    """``channels`` of the maps from fine to coarse, ``width`` of the features. It is called with all of them, the features last (B, width), and
    returns logits (B, num_classes, H, W). Norms are over groups of channels (Wu and He 2018, 1803.08494): examples do not meet in it."""

    reads_maps = True

    def __init__(self, channels: Sequence[int], width: int, num_classes: int, dropout: float = 0.0, *, inner: int = WIDTH) -> None:
        super().__init__()
        self.laterals = nn.ModuleList([nn.Conv2d(count, inner, 1) for count in channels])
        self.context = nn.Linear(width, inner)
        self.smooth = nn.ModuleList([_block(inner) for _ in channels])
        self.dropout = nn.Dropout2d(dropout)
        self.linear = nn.Conv2d(inner, num_classes, 1)
        nn.init.normal_(self.linear.weight, 0.0, INIT_STD)
        nn.init.zeros_(self.linear.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        *maps, pooled = features
        found = self.laterals[-1](maps[-1]) + self.context(_vector(pooled))[:, :, None, None]
        found = self.smooth[-1](found)
        for place in range(len(maps) - 2, -1, -1):
            lateral = self.laterals[place](maps[place])
            found = functional.interpolate(found, lateral.shape[-2:], mode="bilinear", align_corners=False) + lateral
            found = self.smooth[place](found)
        logits: Tensor = self.linear(self.dropout(found))
        return logits


def _block(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, width), nn.ReLU())


def _vector(features: Tensor) -> Tensor:
    """Tokens (B, L, width) by their mean."""
    return features.mean(1) if features.ndim > 2 else features
