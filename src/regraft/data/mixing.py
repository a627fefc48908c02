"""Mixing two examples into one, targets included: mixup and cutmix. Every example has its own share and partner."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def mixup(image: Tensor, targets: Tensor, alpha: float, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Blend images (B, C, H, W) and targets (B, k) with a partner's; the share kept is Beta(alpha, alpha) (Zhang et al. 2018)."""
    partners = torch.from_numpy(chance.permutation(len(image))).to(image.device)
    kept = _column(chance.beta(alpha, alpha, size=len(image)), image)
    pixels = image if image.is_floating_point() else image.float()
    mixed = torch.lerp(pixels[partners], pixels, kept[:, :, None, None].to(pixels.dtype))
    return mixed, _blend(targets, partners, kept)


def cutmix(image: Tensor, targets: Tensor, alpha: float, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Paste a window of a partner's image; the target is shared by area, as pasted after clipping (Yun et al. 2019)."""
    height, width = image.shape[-2:]
    partners = chance.permutation(len(image))
    sides = np.sqrt(1.0 - chance.beta(alpha, alpha, size=len(image)))
    centre_rows, centre_columns = chance.integers(height, size=len(image)), chance.integers(width, size=len(image))
    tops, bottoms = _span(centre_rows, sides * height, height)
    lefts, rights = _span(centre_columns, sides * width, width)
    mixed = image.clone()
    for place, (partner, top, bottom, left, right) in enumerate(zip(partners, tops, bottoms, lefts, rights, strict=True)):
        mixed[place, :, top:bottom, left:right] = image[partner, :, top:bottom, left:right]
    kept = 1.0 - (bottoms - tops) * (rights - lefts) / (height * width)
    return mixed, _blend(targets, torch.from_numpy(partners).to(image.device), _column(kept, image))


def _span(centres: np.ndarray, lengths: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of spans about ``centres``, clipped to 0..limit."""
    starts = np.clip(np.rint(centres - lengths / 2), 0, limit).astype(int)
    return starts, np.clip(np.rint(centres + lengths / 2), 0, limit).astype(int)


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device)[:, None]


def _blend(targets: Tensor, partners: Tensor, kept: Tensor) -> Tensor:
    kept = kept.to(targets)
    return kept * targets + (1 - kept) * targets[partners.to(targets.device)]
