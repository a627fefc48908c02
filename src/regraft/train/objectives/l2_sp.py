"""``l2_sp(strength=0.01, head=0.01)``: hold the weights near those that the run starts from (Li, Grandvalet and Davoine 2018, 1802.01483).

    strength / 2 * ||w - w0||^2 over what was there before + head / 2 * ||w||^2 over a fresh head

``anchor_head=True`` holds the head, too, near where it starts: right where it comes from a parent. What an edit added has no start and
is free. It takes the place of weight decay in the paper: ``--set weight_decay=0``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from regraft.train.objective import Declared, Start, Term, objective, require
from regraft.train.run import Run


@objective
def l2_sp(*, strength: float = 0.01, head: float = 0.01, anchor_head: bool = False) -> Declared:
    require(strength >= 0, f"l2_sp(strength={strength:g})", "a strength is not negative")
    require(head >= 0, f"l2_sp(head={head:g})", "a strength is not negative")
    return Declared(lambda start: _term(start, strength, strength if anchor_head else head, anchor_head))


def _term(start: Start, strength: float, head: float, anchor_head: bool) -> Term:
    last = len(start.plan.stages) - 1
    rows = start.moving()
    anchors = {p: p.detach().clone() for p, row in rows.items() if row != last or anchor_head}

    def penalty(run: Run) -> Tensor:
        total = torch.zeros((), device=run.device)
        for parameter in run.parameters:
            row = rows.get(parameter)
            if row is not None:
                far = parameter - anchors[parameter] if parameter in anchors else parameter
                total = total + (head if row == last else strength) / 2 * far.square().sum()
        return total

    return Term(penalty=penalty)
