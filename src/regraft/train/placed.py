"""Features at the places that have targets of their own, the words of sentences: what a head that answers at every place reads."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded, prepare
from regraft.data.encoded import IGNORE
from regraft.train.run import Run

MOST_PLACES = 200_000


def placed_features(run: Run, train: Encoded) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(m, width) and (m,): the features of every place that has a target, and those; where that is more than ``MOST_PLACES`` tokens, of as many
    whole examples as fit, drawn by the run's seed. In eval mode, without augmentation, in the run's precision."""
    order = np.random.default_rng(run.settings.seed).permutation(len(train))
    if train.lengths is not None:
        order = order[: int(np.searchsorted(np.cumsum(train.lengths[order]), MOST_PLACES)) + 1]
    trunk, features, targets = run.network.trunk, [], []
    run.network.eval()
    for some in evaluation_batches(len(order), run.micro_batch, lengths=None if train.lengths is None else train.lengths[order]):
        rows = order[some]
        wanted = train.target_batch(rows)
        with torch.inference_mode(), run.precision.autocast():
            made = trunk.features(prepare(train.batch(rows), trunk.input, device=run.device)).float().cpu()
        features.append(made[wanted != IGNORE].numpy())
        targets.append(wanted[wanted != IGNORE].numpy())
    return np.concatenate(features), np.concatenate(targets)
