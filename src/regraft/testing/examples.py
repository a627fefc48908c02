"""Small learnable splits in the form that training reads: the class of an example can be told from it, but not from one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from regraft import digest
from regraft.data.encoded import Encoded

NUM_CLASSES = 3
SIGNAL = 0.7
"""Share of the tokens of a sentence that come from its class's third of the vocabulary."""


@final
class Examples(Encoded):
    """A split over one array: ``values`` (n, ...) handed out under ``name``. With ``lengths`` (n,), ``values`` (n, L) is padded, and
    a batch is no longer than its longest row and has an ``attention_mask``."""

    def __init__(self, name: str, values: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None) -> None:
        digests = [digest.of_bytes(np.ascontiguousarray(row).view(np.uint8).reshape(-1).data) for row in values]
        super().__init__(targets.astype(np.int64 if targets.ndim == 1 else np.float32), digests, f"toy {name}", lengths=lengths)
        self.name, self.values = name, values

    def batch(self, rows: Sequence[int] | np.ndarray, *, width: int = 0) -> dict[str, Tensor]:
        chosen = np.asarray(rows, dtype=np.int64)
        values = torch.from_numpy(self.values[chosen])
        if self.lengths is None:
            return {self.name: values}
        lengths = torch.from_numpy(self.lengths[chosen])
        longest = max(width, int(lengths.max()))
        mask = (torch.arange(longest)[None, :] < lengths[:, None]).long()
        return {self.name: values[:, :longest], "attention_mask": mask}

    def wait(self) -> None: ...


def images(n: int, *, size: int = 8, seed: int = 0) -> Examples:
    """``size`` x ``size`` pixels, uint8; the class is the brightest channel."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(NUM_CLASSES, size=n)
    pixels = rng.integers(0, 160, size=(n, 3, size, size))
    pixels[np.arange(n), targets] += 60
    return Examples("image", pixels.astype(np.uint8), targets)


def images_of_two_tasks(n: int, *, size: int = 8, seed: int = 0) -> Examples:
    """The same, with two targets (n, 2): the class, and how much brighter the first channel is than the second; every tenth example lacks one of them."""
    made = images(n, size=size, seed=seed)
    means = made.values.astype(np.float32).mean((2, 3))
    targets = np.stack([made.targets.astype(np.float32), (means[:, 0] - means[:, 1]) / size], 1)
    targets[4::10, 0], targets[9::10, 1] = np.nan, np.nan
    return Examples("image", made.values, targets)


def sentences(n: int, *, seed: int = 0) -> Examples:
    """4 to 12 tokens numbered 5 to 64; the class is the third of these numbers that most tokens come from."""
    rng = np.random.default_rng(seed)
    targets, lengths = rng.integers(NUM_CLASSES, size=n), rng.integers(4, 13, size=n).astype(np.int32)
    lengths[:1] = 12  # so that the first two rows are of different lengths
    lengths[1:2] = 7
    thirds = np.where(rng.random((n, 12)) < SIGNAL, targets[:, None], rng.integers(NUM_CLASSES, size=(n, 12)))
    ids = rng.integers(5, 25, size=(n, 12)) + 20 * thirds
    ids[np.arange(12)[None, :] >= lengths[:, None]] = 0
    return Examples("input_ids", ids.astype(np.int64), targets, lengths)


def waves(n: int, *, seed: int = 0) -> Examples:
    """500 to 800 samples of sound; the class is its loudness."""
    rng = np.random.default_rng(seed)
    targets, lengths = rng.integers(NUM_CLASSES, size=n), rng.integers(500, 801, size=n).astype(np.int32)
    values = rng.normal(size=(n, 800)) * (0.25 * 2.0**targets)[:, None]
    values[np.arange(800)[None, :] >= lengths[:, None]] = 0.0
    return Examples("input_values", values.astype(np.float32), targets, lengths)


def frames(n: int, *, seed: int = 0) -> Examples:
    """Spectra of 8 bands x 100 frames; the class is the loudest third of the bands."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(NUM_CLASSES, size=n)
    values = rng.normal(size=(n, 8, 100))
    values[np.arange(n), 3 * targets] += 1.0
    return Examples("input_features", values.astype(np.float32), targets)
