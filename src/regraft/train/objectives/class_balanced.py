"""``class_balanced(beta=0.999)``: the loss of an example over the effective number of examples of its class (Cui et al. 2019, 1901.05555).

    weight of a class with n examples ~ (1 - beta) / (1 - beta^n), the weights of all classes adding up to how many there are

0 weighs all classes alike, towards 1 each by the inverse of its frequency. Of a mask each pixel is an example; n is counted in whole images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from regraft.train.objective import Declared, Losses, Start, Term, objective, require
from regraft.train.objectives.class_counts import ClassCounts, class_shares
from regraft.train.objectives.pixels import over_examples


@objective
def class_balanced(*, beta: float = 0.999) -> Declared:
    require(0 <= beta < 1, f"class_balanced(beta={beta:g})", "beta lies from 0 up, below 1")
    return Declared(lambda start: _term(start, beta))


def _term(start: Start, beta: float) -> Term:
    counts = ClassCounts(start, "class_balanced")

    def changed(inner: Losses) -> Losses:
        def losses(logits: Tensor, targets: Tensor) -> Tensor:
            weights = class_weights(counts.of(logits.shape[1]), beta).to(logits)
            return (class_shares(targets, logits.shape[1]) @ weights) * inner(logits, targets)

        return losses

    return Term(losses=over_examples(start, changed))


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """(k,) from (k,) float64 counts; classes without an example have no weight, and the others add up to their number."""
    there = counts > 0
    weights = torch.where(there, (1 - beta) / (1 - beta ** counts.clamp(min=1)), 0.0)
    return weights * there.sum() / weights.sum()
