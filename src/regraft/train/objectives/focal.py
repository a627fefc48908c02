"""``focal(gamma=2)``: less weight for examples that are right already, in the form for several classes (Lin et al. 2017, 1708.02002).

    (1 - p)^gamma * task's loss,  p: the probability of the true class

Of a mask each pixel is an example; of a set of labels each label is one, over a sigmoid as in the paper, and where targets are mixed 1 - p is
|target - probability| (2006.04388). With ``class_balanced`` beside it, it is the class-balanced focal loss of 1901.05555 (there over a softmax).
"""

from __future__ import annotations

from torch import Tensor

from regraft.train.objective import Declared, Losses, Start, Term, objective, require
from regraft.train.objectives.class_counts import class_shares, one_label_each
from regraft.train.objectives.pixels import over_examples


@objective
def focal(*, gamma: float = 2.0) -> Declared:
    require(gamma >= 0, f"focal(gamma={gamma:g})", "gamma is not negative")
    return Declared(lambda start: _term(start, gamma))


def _term(start: Start, gamma: float) -> Term:
    if start.task.form.target == "set":
        return Term(losses=lambda inner: _of_labels(inner, gamma))
    one_label_each(start, "focal")

    def changed(inner: Losses) -> Losses:
        def losses(logits: Tensor, targets: Tensor) -> Tensor:
            wrong = 1 - (logits.softmax(1) * class_shares(targets, logits.shape[1])).sum(1)
            return wrong.clamp(min=0) ** gamma * inner(logits, targets)

        return losses

    return Term(losses=over_examples(start, changed))


def _of_labels(inner: Losses, gamma: float) -> Losses:
    """The sum over the labels of an example, each of which is asked for by itself."""

    def losses(logits: Tensor, targets: Tensor) -> Tensor:
        each = inner(logits.reshape(-1, 1), targets.reshape(-1, 1)).view(logits.shape)
        return ((targets.to(logits) - logits.sigmoid()).abs() ** gamma * each).sum(1)

    return losses
