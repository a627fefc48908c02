"""How good the network is on the valid split, during training: point values, without intervals, and quickly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded
from regraft.evaluate import predict
from regraft.spec import LOWER_IS_BETTER
from regraft.train.ahead import ahead
from regraft.train.feed import Feed, Part
from regraft.train.run import Run
from regraft.train.transition import set_modes


class Seen(NamedTuple):
    """``values``: the task's headline and its log loss, if it has one. ``answers`` (n, ...): what they were counted from; ``None`` where the network
    as it will be used would answer otherwise, to a rounding: in half precision, and from activations that were kept."""

    values: dict[str, float]
    answers: NDArray[Any] | None


def validate(run: Run, feed: Feed, encoded: Encoded) -> Seen:
    """What the present weights (their average, where the run keeps one) make of ``encoded``."""
    run.network.eval()
    if run.ema is not None:
        run.ema.swap()
    try:
        logits = logits_of(run, feed, encoded)
    finally:
        if run.ema is not None:
            run.ema.swap()
        set_modes(run.network, run.present.cells, run.settings.batch_norm)
    is_exact = run.precision.format == "fp32" and not feed.is_cached
    return Seen(run.task.watched(logits, encoded.targets), logits if is_exact else None)


def logits_of(run: Run, feed: Feed, encoded: Encoded) -> NDArray[Any]:
    """(n, k), or what else the task keeps of each example, in the order of the split."""

    def forward(part: Part) -> Tensor | list[NDArray[Any]]:
        with run.precision.autocast():
            logits = feed.logits(part)
        kept: Tensor | list[NDArray[Any]] = run.task.kept(logits, part.targets)
        return kept

    return predict.logits(forward, parts_of(feed, encoded, run.micro_batch))  # type: ignore[arg-type]


def parts_of(feed: Feed, encoded: Encoded, size: int) -> Iterator[tuple[NDArray[np.integer], Part]]:
    """Every row of a split once: (rows, part)."""
    batches = evaluation_batches(len(encoded), size, lengths=encoded.lengths)
    parts = ahead(lambda index: feed.parts(batches[index], size=len(batches[index]), seed=0, epoch=0)[0], 0, len(batches))
    return zip(batches, parts, strict=True)


def is_better(value: float, best: float | None, headline: str) -> bool:
    if best is None:
        return True
    return value < best if headline in LOWER_IS_BETTER else value > best
