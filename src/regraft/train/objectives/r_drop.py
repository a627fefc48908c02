"""``r_drop(strength=1)``: two forwards under different dropout shall agree (Liang et al. 2021, 2106.14448).

    (loss_1 + loss_2) / 2 + strength / 2 * (KL(p_1 || p_2) + KL(p_2 || p_1))

as in the authors' code, whose mean of the two losses is half of the sum in the paper. A step takes two forwards; a network without
dropout in what trains gains nothing by it.
"""

from __future__ import annotations

from torch import Tensor, nn

from regraft.train.objective import Declared, Seen, Start, Term, objective, require
from regraft.train.objectives.class_counts import one_label


@objective
def r_drop(*, strength: float = 1.0) -> Declared:
    require(strength >= 0, f"r_drop(strength={strength:g})", "a strength is not negative")

    def shares(seen: Seen) -> Tensor:
        second, targets = seen.again(), seen.part.targets
        mean_of_both = (seen.losses(second, targets) - seen.losses(seen.logits, targets)) / 2  # the first one counts already
        return mean_of_both + strength * disagreement(seen.logits, second)

    def begin(start: Start) -> Term:
        one_label(start, "r_drop")
        return Term(shares=shares)

    return Declared(begin, passes=2)


def disagreement(one: Tensor, other: Tensor) -> Tensor:
    """(B,) mean of both Kullback-Leibler divergences between the softmax of logits (B, k)."""
    p, q = one.log_softmax(1), other.log_softmax(1)
    there = nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(1)
    back = nn.functional.kl_div(p, q, reduction="none", log_target=True).sum(1)
    return (there + back) / 2
