"""``feature_distill(teacher=NAME, pairs=[blocks.0:blocks.1, blocks.2:blocks.5], weight=1)``: be like a teacher inside, too (FitNets; Romero et al.
2014, 1412.6550).

    weight / pairs * sum over pairs (student stage : teacher stage) of the mean square of (r(student's) - teacher's)

Compared is what leaves the stages, pooled: the mean over the tokens that are none of padding, or over the places of an image. ``r`` is a linear map where
the widths differ, learned beside the network with an optimiser of its own; without a difference there is none. A student stage below the
boundary of a phase costs nothing in it: it does not move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from regraft.train.objective import Ask, Declared, Seen, Start, Term, objective, require
from regraft.train.objectives.stage_output import pooled
from regraft.train.objectives.stage_pairs import Pairs, ours_of, read_pairs, taught, theirs_of
from regraft.train.run import Run
from regraft.train.seeding import seed_of

MAP_LR = 1e-3


@objective
def feature_distill(*, teacher: str = "parent", pairs: tuple[str, ...] = (), weight: float = 1.0) -> Declared:
    require(weight > 0, f"feature_distill(weight={weight:g})", "a weight is above 0")
    found = read_pairs("feature_distill", pairs)
    ask = Ask("features", teacher, theirs_of(found))
    return Declared(lambda start: _FeatureDistill(start, ask, found, weight).term(), asks=(ask,))


class _FeatureDistill:
    def __init__(self, start: Start, ask: Ask, pairs: Pairs, weight: float) -> None:
        self.known = taught("feature_distill", start, ask, pairs)
        self.pairs, self.weight, self.seed, self.map_axis = pairs, weight, start.plan.settings.seed, start.network.trunk.map_axis
        self.maps: dict[int, nn.Parameter] = {}
        self.optimizer: torch.optim.Optimizer | None = None

    def term(self) -> Term:
        stages = ours_of(self.pairs)
        return Term(shares=self.shares, around=self.around, after_step=self.after_step, state=self.state, load=self.load, stages=stages)

    def shares(self, seen: Seen) -> Tensor:
        total = torch.zeros(len(seen.logits), device=seen.logits.device)
        for index, (ours, theirs) in enumerate(self.pairs):
            if ours in seen.features:
                student = pooled(seen.features[ours], seen.part.inputs.get("attention_mask"), map_axis=self.map_axis).float()
                teacher = self.known[theirs][torch.as_tensor(seen.part.rows)].to(student)
                total = total + (self._mapped(index, student, teacher.shape[1]) - teacher).square().mean(1)
        return self.weight / len(self.pairs) * total

    def around(self, run: Run, gradients: Callable[[], Tensor]) -> Tensor:
        """A step that could not be taken leaves nothing behind in the maps."""
        for parameter in self.maps.values():
            parameter.grad = None
        return gradients()

    def after_step(self, run: Run) -> None:
        if self.optimizer is None:
            return
        run.ranks.add_gradients(list(self.maps.values()))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        maps = {index: parameter.detach() for index, parameter in self.maps.items()}
        return {"maps": maps, "optimizer": self.optimizer.state_dict() if self.optimizer is not None else None}

    def load(self, state: Mapping[str, Any]) -> None:
        self.maps, self.optimizer = {}, None
        for index, tensor in state["maps"].items():
            self._add(index, tensor.clone())
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])

    def _mapped(self, index: int, student: Tensor, width: int) -> Tensor:
        if student.shape[1] == width:
            return student
        if index not in self.maps:
            draws = torch.Generator().manual_seed(seed_of(self.seed, "map", index))
            self._add(index, torch.randn(width, student.shape[1], generator=draws).div_(student.shape[1] ** 0.5).to(student.device))
        return student @ self.maps[index].to(student.device).T

    def _add(self, index: int, tensor: Tensor) -> None:
        self.maps[index] = nn.Parameter(tensor)
        if self.optimizer is None:
            self.optimizer = torch.optim.Adam([self.maps[index]], lr=MAP_LR)
        else:
            self.optimizer.add_param_group({"params": [self.maps[index]]})
