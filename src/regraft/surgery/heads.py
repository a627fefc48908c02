"""Heads: what turns a trunk's features into logits; and the host's own classifier, taken off and put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regraft.errors import TrunkError, suggest
from regraft.trunk.trunk import Trunk

INIT_STD = 0.02


def align(mask: Tensor | None, features: Tensor) -> Tensor:
    """``mask`` as (B, L) booleans for ``features`` (B, L, width): all of them where there is none; a mask of another length
    (audio: samples, where the features are frames) is read at L evenly spaced places."""
    batch, length = features.shape[:2]
    if mask is None:
        return torch.ones(batch, length, dtype=torch.bool, device=features.device)
    if mask.shape[1] != length:
        places = torch.arange(length, device=mask.device) * mask.shape[1] // length
        mask = mask[:, places]
    return mask.bool()


def pool_none(features: Tensor, mask: Tensor | None) -> Tensor:
    return features


def pool_mean(features: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the unmasked places; zeros where a row has none. Masked values are not even looked at: they may be NaN."""
    kept = align(mask, features)
    total = features.masked_fill(~kept[..., None], 0.0).sum(1)
    return total / kept.sum(1, keepdim=True).clamp(min=1).to(features.dtype)


def pool_first(features: Tensor, mask: Tensor | None) -> Tensor:
    return _pick(features, align(mask, features).int().argmax(1))


def pool_last(features: Tensor, mask: Tensor | None) -> Tensor:
    kept = align(mask, features)
    return _pick(features, kept.shape[1] - 1 - kept.int().flip(1).argmax(1))


def _pick(features: Tensor, places: Tensor) -> Tensor:
    return features[torch.arange(len(features), device=features.device), places]


POOLINGS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "none": pool_none,
    "mean": pool_mean,
    "first": pool_first,
    "last": pool_last,
}


class LinearHead(nn.Module):
    """Pool, drop out, one linear layer.

    ``width``: size of the features' last dimension. ``pooling``: "none" for features (B, width), else how (B, L, width) becomes
    (B, width): the mean over the mask, or its first or last unmasked token whatever the padding side.
    The weights start near zero (normal, std 0.02, from ``generator`` or torch's own; bias zero): small enough to leave all
    classes equally likely, and not zero, so that a gradient reaches the trunk from the first step.
    """

    def __init__(
        self, width: int, num_classes: int, pooling: str = "none", dropout: float = 0.0, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise TrunkError(f"a head that pools by {pooling!r}", "no such pooling", suggest(pooling, POOLINGS))
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, num_classes)
        with torch.no_grad():
            self.linear.weight.normal_(0.0, INIT_STD, generator=generator)
            self.linear.bias.zero_()

    def pool(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, width), ready for the linear layer."""
        return POOLINGS[self.pooling](features, mask)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, num_classes)."""
        return self.linear(self.dropout(self.pool(features, mask)))


@dataclass(frozen=True, slots=True, eq=False)
class Stripped:
    """The host's own classifier, as taken off by ``strip``: (path, module) pairs."""

    modules: tuple[tuple[str, nn.Module], ...]

    def restore(self, trunk: Trunk) -> None:
        """Put the very same modules back."""
        for path, module in self.modules:
            trunk.host.set_submodule(path, module)


def strip(trunk: Trunk) -> Stripped:
    """Stand ``nn.Identity`` at the trunk's ``head_paths``, so that the host's forward ends in its features."""
    stripped = Stripped(tuple((path, trunk.host.get_submodule(path)) for path in trunk.head_paths))
    for path, _ in stripped.modules:
        trunk.host.set_submodule(path, nn.Identity())
    return stripped
