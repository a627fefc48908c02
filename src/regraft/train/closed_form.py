"""A linear head solved to its optimum on pooled features: no epochs, no rate, no early stopping."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from regraft.data.encode import Encoded
from regraft.errors import PlanError
from regraft.evaluate import linear, predict
from regraft.train.feed import Feed, Part
from regraft.train.run import Run
from regraft.train.transition import set_modes
from regraft.train.validation import parts_of


def solve(run: Run, feed: Feed, train: Encoded) -> float:
    """Write the best linear layer over all of ``train`` into ``network.head.linear``; returns the strength C that was picked.

    The features are computed once, in eval mode and without augmentation, in the run's precision.
    """
    layer = getattr(run.network.head, "linear", None)
    if not isinstance(layer, torch.nn.Linear) or not hasattr(run.network.head, "pool"):
        raise PlanError(f"solve phase {run.present.name!r} in closed form", f"the head is a {type(run.network.head).__name__}",
                        "a linear head, or solver=gradient")  # fmt: skip
    run.network.eval()
    features = predict.logits(lambda part: _pooled(run, feed, part), parts_of(feed, train, run.micro_batch))  # type: ignore[arg-type]
    set_modes(run.network, run.present.cells, run.settings.batch_norm)
    found = linear.fit(features, np.asarray(train.targets), num_classes=layer.out_features, seed=run.settings.seed)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(found.weights))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(found.bias))
    return found.c


def _pooled(run: Run, feed: Feed, part: Part) -> Tensor:
    with run.precision.autocast():
        return feed.pooled(part)
