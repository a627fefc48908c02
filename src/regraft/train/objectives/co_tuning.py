"""``co_tuning(weight=0.3, relation=logistic)``: go on answering as the pretrained classifier did, too (You et al. 2020, Co-Tuning for Transfer Learning, NeurIPS).

    task's loss + weight * cross entropy between p(source categories | the example's class) and the source head's answer

The source head is the classifier with which the trunk was pretrained; it reads what the task's head reads, and learns on beside it, at the plan's rate. How the categories go
with the classes is learned from its answers before training (``category_relation.py``). Where this differs from the paper: its answers are calibrated by
``temperature``, 1 unless given, as the source's own examples are not here to find it on; the relation is calibrated and its strength chosen on a fifth of the
training examples in place of a valid split; the paper's weight is 2.3 on ImageNet's categories (the weight and the strength of ``delta`` were the best of three on valid, once: benchmarks/RESULTS.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regraft.cache.pooled import pooled_features
from regraft.errors import PlanError
from regraft.train.objective import Ask, Declared, Seen, Start, Term, objective, require
from regraft.train.objectives.category_relation import Relation, relation_of
from regraft.train.objectives.class_counts import class_shares, one_label
from regraft.train.seeding import seed_of
from regraft.trunk.network import HEAD

SOURCE_HEAD = Ask("source_head", "the pretrained model")


@objective
def co_tuning(*, weight: float = 0.3, relation: Relation = "logistic", temperature: float = 1.0) -> Declared:
    require(weight > 0, f"co_tuning(weight={weight:g})", "a weight is above 0")
    require(temperature > 0, f"co_tuning(temperature={temperature:g})", "a temperature is above 0")
    return Declared(
        lambda start: _CoTuning(start, weight, relation, temperature).term(), asks=(SOURCE_HEAD,), ahead=lambda num_train: num_train
    )


class _CoTuning:
    def __init__(self, start: Start, weight: float, relation: Relation, temperature: float) -> None:
        one_label(start, "co_tuning")
        if start.plan.phases[0].fresh:
            raise PlanError("co_tuning from random weights", "the source head reads features that are not there", "--strategy full")
        self.weight = weight
        self.head: nn.Module = start.brought(SOURCE_HEAD).to(start.device).eval().requires_grad_(True)
        self.relation = self._related(start, relation, temperature).to(start.device)

    def term(self) -> Term:
        return Term(shares=self.shares, state=self.state, load=self.load, stages=(HEAD,), parameters=tuple(self.head.parameters()))

    @torch.no_grad()
    def _related(self, start: Start, relation: Relation, temperature: float) -> Tensor:
        """(k, m) float32: of each class of the task what it is in the source's categories."""
        features = torch.from_numpy(np.array(pooled_features(start.network, start.train))).to(start.device)
        answers = (self.head(features).double() / temperature).softmax(1).cpu().numpy()
        num_classes = int(start.network.head.linear.out_features)  # type: ignore[union-attr, arg-type]
        seed = seed_of(start.plan.settings.seed, "relation") % 2**32
        return torch.from_numpy(relation_of(answers, start.train.targets, num_classes, how=relation, seed=seed)).float()

    def shares(self, seen: Seen) -> Tensor:
        if seen.run.present.boundary == len(seen.run.network.trunk.stages):  # nothing moves that the source head reads
            return torch.zeros(len(seen.logits), device=seen.logits.device)
        wanted = class_shares(seen.part.targets, len(self.relation)) @ self.relation
        answered = self.head(seen.features[HEAD].float()).log_softmax(1)
        return -self.weight * (wanted * answered).sum(1)

    def state(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self.head.named_parameters()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        for name, parameter in self.head.named_parameters():
            parameter.copy_(state[name])
