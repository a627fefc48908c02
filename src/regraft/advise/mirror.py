"""Does mirroring an image leave its class as it is? Asked of the pretrained features before the answer is taken for granted.

A head is solved on a part of some training images and names the rest, upright and mirrored; then the other way round. Photographs are named alike;
letters, or the side of a body, are not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regraft.evaluate import linear
from regraft.evaluate.compare import Verdict, paired

MOST = 800
"""Images that take part; more tell no more about so plain a question."""
FEWEST = 20
"""Different images below which no answer would be beyond the noise."""


def sample(num_images: int, *, seed: int) -> NDArray[np.intp]:
    """Which rows take part: (m,), m at most ``MOST``, in order."""
    return np.sort(np.random.default_rng(seed).permutation(num_images)[:MOST])


def upright_against_mirrored(
    upright: NDArray[np.float32], mirrored: NDArray[np.float32], targets: NDArray[np.integer], *, num_classes: int,
    groups: NDArray[np.integer] | None = None, seed: int = 0,
) -> Verdict:  # fmt: skip
    """The paired verdict on what a head names right of the images that it has not seen, as they are against mirrored.

    ``upright``, ``mirrored`` (m, d): pooled features of the same images. ``groups`` (m,): equal ones stay on one side.
    """
    y = np.asarray(targets, dtype=np.intp)
    owners = np.arange(len(y)) if groups is None else groups
    parts = linear.folds(y, owners, seed=seed) % 2
    right = np.zeros((2, len(y)), dtype=np.bool_)
    for side in (0, 1):
        seen, rest = np.flatnonzero(parts != side), np.flatnonzero(parts == side)
        found = linear.fit(upright[seen], y[seen], num_classes=num_classes, seed=seed, groups=owners[seen])
        for row, features in enumerate((upright, mirrored)):
            right[row, rest] = (features[rest] @ found.weights.T + found.bias).argmax(1) == y[rest]
    return paired(right[0], right[1], seed=seed)
