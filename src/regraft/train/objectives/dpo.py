"""``dpo(beta=0.1, label_smoothing=0, sft=0)``: learn from preference pairs (Rafailov et al. 2023, 2305.18290).

    -log sigmoid(beta * ((log p(chosen) - log p0(chosen)) - (log p(rejected) - log p0(rejected))))

p0 is the network that the run starts from: its log probabilities are computed once, before training. ``label_smoothing``: the share of pairs that may be
the wrong way round (conservative DPO, Mitchell 2023). ``sft``: times the cost of a token of the chosen answer, added, which keeps their probability from
falling with that of the rejected ones (Pang et al. 2024, 2404.19733).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from regraft.errors import PlanError
from regraft.tasks.preference import log_probabilities
from regraft.train.objective import Declared, Losses, Seen, Start, Term, objective, require


@objective
def dpo(*, beta: float = 0.1, label_smoothing: float = 0.0, sft: float = 0.0) -> Declared:
    require(beta > 0, f"dpo(beta={beta:g})", "beta is above 0")
    require(0 <= label_smoothing < 0.5, f"dpo(label_smoothing={label_smoothing:g})", "less than half of the pairs are the wrong way round")
    require(sft >= 0, f"dpo(sft={sft:g})", "a weight is not negative")
    return Declared(lambda start: _term(start, beta, label_smoothing, sft))


def _term(start: Start, beta: float, label_smoothing: float, sft: float) -> Term:
    if not start.task.refers:
        raise PlanError(
            f"dpo with the task {start.task.name}",
            "it learns from pairs of a chosen and a rejected answer",
            "data with columns prompt, chosen, rejected",
        )
    reference = torch.as_tensor(start.train.targets)

    def shares(seen: Seen) -> Tensor:
        gained = log_probabilities(seen.logits, seen.part.targets) - reference[torch.as_tensor(seen.part.rows)].to(seen.logits.device)
        margin = beta * (gained[:, 0] - gained[:, 1])
        return -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)

    def losses(inner: Losses) -> Losses:
        return lambda logits, targets: sft * inner(logits, targets) if sft else logits.new_zeros(len(logits))

    return Term(losses=losses, shares=shares)
