"""``attention_distill(teacher=NAME, pairs=[blocks.0:blocks.1, blocks.2:blocks.5], weight=1)``: look where a teacher looks (attention transfer;
Zagoruyko and Komodakis 2016, 1612.03928).

    weight / pairs * sum over pairs (student stage : teacher stage) of ‖q(student's) - q(teacher's)‖²

``q``: the mean of the squares over the channels, place by place, as one vector of length 1. It has no channels, so stages of any two widths compare without
a map between them; grids of other sizes are brought to one of 8 x 8, tokens to 64 spans. A student stage below the boundary of a phase costs nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from regraft.train.objective import Ask, Declared, Seen, Start, Term, objective, require
from regraft.train.objectives.stage_output import places
from regraft.train.objectives.stage_pairs import Pairs, ours_of, read_pairs, taught, theirs_of


@objective
def attention_distill(*, teacher: str = "parent", pairs: tuple[str, ...] = (), weight: float = 1.0) -> Declared:
    require(weight > 0, f"attention_distill(weight={weight:g})", "a weight is above 0")
    found = read_pairs("attention_distill", pairs)
    ask = Ask("attention", teacher, theirs_of(found))

    def begin(start: Start) -> Term:
        known = taught("attention_distill", start, ask, found)
        axis = start.network.trunk.map_axis
        return Term(shares=lambda seen: weight / len(found) * _distances(seen, found, known, axis), stages=ours_of(found))

    return Declared(begin, asks=(ask,))


def _distances(seen: Seen, pairs: Pairs, known: Mapping[str, Tensor], map_axis: int) -> Tensor:
    """(B,): summed over the pairs whose student stage moves."""
    total = torch.zeros(len(seen.logits), device=seen.logits.device)
    for ours, theirs in pairs:
        if ours in seen.features:
            looked = places(seen.features[ours], seen.part.inputs.get("attention_mask"), map_axis=map_axis)
            total = total + (looked - known[theirs][torch.as_tensor(seen.part.rows)].to(looked)).square().sum(1)
    return total
