"""``l2_sp(strength=0.01, head=0.01)``: hold the weights near those that the run starts from (Li, Grandvalet and Davoine 2018, 1802.01483).

    strength / 2 * ||w - w0||^2 over what was there before + head / 2 * ||w||^2 over a fresh head

``anchor_head=True`` holds the head, too, near where it starts: right where it comes from a parent. What an edit added has no start and
is free. In the paper it takes the place of weight decay: ``--set weight_decay=0``. ``adapt`` lets the strength follow what an epoch shows
(``strength.py``): "drift", the distance of each stage from its start, or "gap", from the loss on train to that on valid; ``target`` is where it shall be.
"""

from __future__ import annotations

import torch
from torch import Tensor

from regraft.train.objective import Declared, Start, Term, objective, require
from regraft.train.objectives.strength import Adapt, Strength
from regraft.train.run import Run


@objective
def l2_sp(
    *, strength: float = 0.01, head: float = 0.01, anchor_head: bool = False, adapt: Adapt = "none", target: float = 0.05
) -> Declared:
    require(strength >= 0, f"l2_sp(strength={strength:g})", "a strength is not negative")
    require(head >= 0, f"l2_sp(head={head:g})", "a strength is not negative")
    require(target > 0, f"l2_sp(target={target:g})", "a target is above 0")
    return Declared(lambda start: _term(start, strength, None if anchor_head else head, adapt, target))


def _term(start: Start, strength: float, head: float | None, adapt: Adapt, target: float) -> Term:
    """``head``: the strength towards zero of a fresh head; ``None`` where it is anchored like the rest."""
    last, rows = len(start.plan.stages) - 1, start.moving()
    anchors = {p: p.detach().clone() for p, row in rows.items() if row != last or head is None}
    held = Strength(adapt, target, anchors, {p: rows[p] for p in anchors})

    def penalty(run: Run) -> Tensor:
        total = torch.zeros((), device=run.device)
        for parameter in run.parameters:
            if parameter in anchors:
                share = strength * held.factors[rows[parameter]]
                total = total + share / 2 * (parameter - anchors[parameter]).square().sum()
            elif parameter in rows and head:
                total = total + head / 2 * parameter.square().sum()
        return held.costs(total)

    if adapt == "none":
        return Term(penalty=penalty)
    return Term(penalty=penalty, around=held.watch, after_epoch=held.after_epoch, state=held.state, load=held.load)
