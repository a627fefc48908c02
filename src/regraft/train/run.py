"""A run: one execution of a plan, with everything that has to survive a kill."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.train import transition
from regraft.train.compiled import Compiled
from regraft.train.ema import Ema
from regraft.train.groups import Moving, check_partition, groups, make_optimizer, own
from regraft.train.history import History
from regraft.train.precision import Format, Precision, precision_for
from regraft.train.ranks import Ranks
from regraft.train.schedules import factor
from regraft.train.terms import Terms
from regraft.train.transition import Standing
from regraft.train.used_rows import UsedRows
from regraft.trunk.network import Network


@dataclass(eq=False, kw_only=True)
class Run:
    """``terms``: the plan's objectives at work. ``rows``: what trains in the stead of a table of which the data name few rows. ``phase`` and ``step``: the place, counted in finished phases and finished optimiser steps of the present one.

    ``entered``: the network stands in the present phase; it does not between two. ``steps``: of the present phase. ``micro_batch``: examples that go through the network at once. ``recomputes``: with gradient checkpointing; ``compiled``: the stages of the present phase, where they are. ``lr_factor``: what recoveries
    have made of the rate. ``best`` and ``stale``: the best value on valid in this phase, and epochs since.
    """

    network: Network
    plan: Plan
    task: Any
    ranks: Ranks
    precision: Precision
    micro_batch: int
    terms: Terms = field(default_factory=Terms)
    rows: UsedRows | None = None
    history: History = field(default_factory=History)
    standing: Standing = field(default_factory=Standing)
    phase: int = 0
    step: int = 0
    entered: bool = False
    steps: int = 0
    recomputes: bool = False
    lr_factor: float = 1.0
    recoveries: int = 0
    best: float | None = None
    stale: int = 0
    chosen: list[Moving] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)
    buffers: list[Tensor] = field(default_factory=list)
    optimizer: torch.optim.Optimizer | None = None
    ema: Ema | None = None
    compiled: Compiled | None = None
    seconds_before: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, network: Network, plan: Plan, task: Any, *, phase: int = 0, precision: Format | None = None) -> Run:
        """A fresh run of ``plan`` on this machine: the network goes to its device, and convolutions to channels-last.

        ``precision``: what a run that is resumed was begun in, which a second measurement need not find again.
        """
        ranks = Ranks()
        if network.trunk.input.kind == "image":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.to(ranks.device)
        chosen = Precision.of(precision or precision_for(plan.settings, ranks.device), ranks.device)
        return cls(network=network, plan=plan, task=task, ranks=ranks, precision=chosen, micro_batch=plan.settings.batch_size,
                   recomputes=plan.settings.gradient_checkpointing, phase=phase)  # fmt: skip

    @property
    def settings(self) -> Settings:
        return self.plan.settings

    @property
    def present(self) -> Phase:
        return self.plan.phases[self.phase]

    @property
    def device(self) -> torch.device:
        return self.precision.device

    @property
    def seconds(self) -> float:
        """Since the run began; time between a kill and the resume does not count."""
        return self.seconds_before + time.perf_counter() - self.started

    def lr(self, step: int) -> float:
        """The rate of a cell with scale 1 at ``step`` of the present phase."""
        settings = self.settings
        shape = factor(step, self.steps, schedule=settings.schedule, warmup_fraction=settings.warmup_fraction)
        return settings.lr * self.present.lr_scale * self.lr_factor * shape

    def enter(self, steps: int) -> None:
        """Begin the present phase; it has ``steps`` optimiser steps (0: it is solved in closed form)."""
        self.steps, self.entered, self.history.answers = steps, True, None
        self.chosen = transition.enter(self.network, self.present, self.standing, self.settings)
        check_partition(self.network, groups(self.chosen, self.settings.weight_decay))
        stepped = [*(self.rows.stand_in(self.chosen) if self.rows else self.chosen), *own(self.terms.parameters, len(self.plan.stages))]
        self.parameters = [one.parameter for one in stepped]
        self.buffers = [tensor for tensor in self.training_tensors().values() if not isinstance(tensor, nn.Parameter)]
        made = groups(stepped, self.settings.weight_decay)
        optimizer = make_optimizer(self.settings, made, self.device)
        transition.carry(self.optimizer, optimizer)
        self.optimizer = optimizer
        self.ema = Ema(self.training_tensors(), self.settings.ema) if self.settings.ema and steps else None

    def training_tensors(self) -> dict[str, Tensor]:
        """What may change in the present phase: the moving parameters, and the buffers of the stages that train."""
        found: dict[str, Tensor] = {one.name: one.parameter for one in self.chosen}
        for index, cell in enumerate(self.present.cells):
            if cell.trainable:
                found.update(self.network.stage_buffers(index))
        return found

    def leave(self) -> None:
        """The present phase is over, and the next one has not begun."""
        self.phase, self.step, self.entered = self.phase + 1, 0, False

    def averaged_tensors(self) -> dict[str, Tensor]:
        """The same as they would be used: their averages, where the run keeps them."""
        return {name: tensor.detach() for name, tensor in (self.ema.average if self.ema else self.training_tensors()).items()}

    def changed_tensors(self) -> dict[str, Tensor]:
        """What may differ from the model as it came: every parameter that has moved in any phase, and the buffers beside it."""
        found: dict[str, Tensor] = {name: p for name, p in self._all_parameters() if p in self.standing.moved or p in self.standing.edited}
        for index in sorted(self.standing.touched):
            found.update(self.network.stage_buffers(index))
        return found

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run cannot work out from the plan. Tensors are the live ones, not copies."""
        return {
            "position": [self.recoveries, self.phase, self.step],
            "entered": self.entered,
            "micro_batch": self.micro_batch,
            "recomputes": self.recomputes,
            "lr_factor": self.lr_factor,
            "best": self.best,
            "stale": self.stale,
            "seconds": self.seconds,
            "precision": self.precision.format,
            "live": [phase.live for phase in self.plan.phases],
            "tensors": {name: tensor.detach() for name, tensor in self.changed_tensors().items()},
            "optimizer": self.optimizer.state_dict() if self.optimizer and self.phase < len(self.plan.phases) else None,
            "ema": self.ema.state() if self.ema else None,
            "terms": self.terms.state(),
            "scaler": self.precision.scaler.state_dict() if self.precision.scaler else None,
            "history": self.history.json(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over ``state``, written in the phase that the network stands in now, or after it."""
        self.recoveries, self.phase, self.step = state["position"]
        self.entered = state["entered"]
        self.micro_batch, self.recomputes, self.lr_factor = state["micro_batch"], state["recomputes"], state["lr_factor"]
        self.best, self.stale = state["best"], state["stale"]
        self.load_tensors(state["tensors"])
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None and state["ema"] is not None:
            self.ema.load(state["ema"])
        self.terms.load(state["terms"])
        if self.precision.scaler and state["scaler"]:
            self.precision.scaler.load_state_dict(state["scaler"])
        self.history = History.from_json(state["history"])

    @torch.no_grad()
    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        live: dict[str, Tensor] = dict(self._all_parameters())
        for index in range(len(self.network.stage_names)):
            live.update(self.network.stage_buffers(index))
        for name, tensor in tensors.items():
            live[name].copy_(tensor)
        if self.rows:
            self.rows.read()

    @torch.no_grad()
    def blend(self, start: Mapping[str, Tensor], share: float) -> None:
        """Move what trained back to ``share`` of the way from ``start``; counters and the like stay where they are."""
        live = self.training_tensors()
        for name, tensor in start.items():
            if tensor.is_floating_point():
                live[name].lerp_(tensor.to(live[name]), 1 - share)

    def _all_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for index in range(len(self.network.stage_names)):
            yield from self.network.stage_parameters(index)
