"""``logit_adjusted(tau=1)``: logits are learned on top of the classes' frequencies (Menon et al. 2020, 2007.07314, equation 10).

    task's loss of (logits + tau * log frequency of each class)

so that the logits alone, which predict, say how likely a class would be if all were equally frequent: for balanced accuracy and
macro F1 on unequal classes. Probabilities are then those of balanced data, too.
"""

from __future__ import annotations

from torch import Tensor

from regraft.train.objective import Declared, Losses, Start, Term, objective, require
from regraft.train.objectives.class_counts import ClassCounts
from regraft.train.objectives.pixels import over_examples


@objective
def logit_adjusted(*, tau: float = 1.0) -> Declared:
    require(tau >= 0, f"logit_adjusted(tau={tau:g})", "tau is not negative")
    return Declared(lambda start: _term(start, tau))


def _term(start: Start, tau: float) -> Term:
    counts = ClassCounts(start, "logit_adjusted")

    def changed(inner: Losses) -> Losses:
        def losses(logits: Tensor, targets: Tensor) -> Tensor:
            found = counts.of(logits.shape[1]).clamp(min=counts.least)
            return inner(logits + tau * (found / found.sum()).log().to(logits), targets)

        return losses

    return Term(losses=over_examples(start, changed))
