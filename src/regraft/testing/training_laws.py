"""Laws of training: what is frozen stays (3), groups partition (6), the same run ends the same (7), it learns (10), moments stay (12).

Each takes a function that makes the network anew, the plan, and the split; what is trained is thrown away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from regraft import digest, tasks
from regraft.cache import Cache
from regraft.data.encode import Encoded, prepare
from regraft.plan.plan import Plan
from regraft.testing.law import law
from regraft.testing.model_laws import LIMIT_BYTES, logits_of
from regraft.train.fit import fit
from regraft.train.groups import check_partition
from regraft.train.history import EpochRecord, History, PhaseStart, StepRecord
from regraft.train.run import Run
from regraft.trunk import tensors
from regraft.trunk.network import Network

Make = Callable[[], Network]


def trained(network: Network, plan: Plan, train: Encoded, *, observer: object = None, cache: bool = False) -> History:
    """Fit in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Cache(Path(folder, "cache"), LIMIT_BYTES) if cache else None
        task, data = tasks.of(plan.task), {"train": train, "valid": None}
        return fit(network, plan, task, data, folder=Path(folder, "run"), cache=kept, observer=observer)  # type: ignore[arg-type]


def check_frozen(make: Make, plan: Plan, train: Encoded) -> int:
    """Law 3: a stage that no phase trains or edits is byte-equal afterwards, buffers included, and never left eval mode; the others moved.

    Returns how many stages were frozen throughout.
    """
    network = make()
    still = [i for i in range(len(plan.stages)) if not any(p.cells[i].trainable or p.cells[i].edit for p in plan.phases)]
    before = [tensors.stage_digest(network, index) for index in range(len(plan.stages))]
    watch = _Modes(network, plan)
    trained(network, plan, train, observer=watch)
    for index in still:
        law(tensors.stage_digest(network, index) == before[index], f"{plan.strategy}: {plan.stages[index]} is frozen, and changed")
    law(not watch.awake, f"{plan.strategy}: {', '.join(sorted(watch.awake))} is frozen, and was in training mode")
    law(tensors.stage_digest(network, len(plan.stages) - 1) != before[-1], f"{plan.strategy}: the head did not move")
    return len(still)


def check_groups(make: Make, plan: Plan, *, steps: int = 4) -> int:
    """Law 6: in every phase the optimiser holds each trainable parameter exactly once, at the rate of its cell. Returns the groups seen."""
    run, count = Run.of(make(), plan, tasks.of(plan.task)), 0
    for run.phase, phase in enumerate(plan.phases):
        run.enter(steps)
        assert run.optimizer is not None
        made = run.optimizer.param_groups
        check_partition(run.network, made)
        held = [id(p) for group in made for p in group["params"]]
        trainable = [id(p) for p in run.network.parameters() if p.requires_grad]
        law(sorted(held) == sorted(trainable), f"{plan.strategy}, {phase.name}: groups and trainable parameters differ")
        rates = {id(p): group["lr_scale"] for group in made for p in group["params"]}
        wrong = [one.name for one in run.chosen if rates[id(one.parameter)] != phase.cells[one.stage].lr_scale]
        law(not wrong, f"{plan.strategy}, {phase.name}: {', '.join(wrong[:3])} has another rate than its cell")
        count += len(made)
    return count


def check_digest(make: Make, plan: Plan, train: Encoded) -> str:
    """Law 7: the same plan, data and seed give the same bytes; with cached activations too, where the batches are of one shape.

    Returns the digest of all tensors.
    """
    ends = []
    for _ in range(2):
        network = make()
        trained(network, plan, train)
        ends.append(tensors.digests(network))
    differing = [name for name in ends[0] if ends[0][name] != ends[1].get(name)]
    law(ends[0] == ends[1], f"{plan.strategy}: run twice, {', '.join(differing[:3])} differs")
    return digest.of_json(ends[0])


def check_cached_training(make: Make, plan: Plan, train: Encoded, *, tolerance: float = 1e-4) -> int:
    """Law 4 in training: a run that reads what lies below the boundary ends where a live one does. Returns how many phases were cached."""
    live, cached = make(), make()
    trained(live, plan, train)
    history = trained(cached, plan, train, cache=True)
    inputs = prepare(train.batch(np.arange(len(train))), live.trunk.input)
    difference = float((logits_of(live, inputs) - logits_of(cached, inputs)).abs().max())
    law(difference <= tolerance, f"{plan.strategy}: trained on cached activations, logits differ by {difference:.1e}")
    return sum(phase.cached for phase in history.phases)


def check_learns(make: Make, plan: Plan, train: Encoded, test: Encoded, *, margin: float = 0.2) -> float:
    """Law 10: trained by ``plan``, the network knows examples that it has not seen better than with a fresh head, by ``margin`` at least.

    Returns its accuracy on ``test``.
    """
    network = make()
    fresh = _accuracy(network, test)
    trained(network, plan, train)
    learned = _accuracy(network, test)
    law(learned >= fresh + margin, f"{plan.strategy}: accuracy {learned:.2f} after training, {fresh:.2f} with a fresh head")
    return learned


def check_unfreezing(make: Make, plan: Plan, *, steps: int = 4) -> int:
    """Law 12: what trains in a phase and in the next keeps its optimiser state. Returns how many parameters were carried over."""
    run, count = Run.of(make(), plan, tasks.of(plan.task)), 0
    for run.phase, phase in enumerate(plan.phases):
        before = {p: _copied(run.optimizer.state[p]) for p in run.parameters} if run.optimizer else {}
        run.enter(steps)
        assert run.optimizer is not None
        for one in run.chosen:
            kept = run.optimizer.state.get(one.parameter, {})
            expected = before.get(one.parameter, {})
            same = kept.keys() == expected.keys() and all(torch.equal(kept[key], expected[key]) for key in expected)
            law(same, f"{plan.strategy}, {phase.name}: {one.name} lost its optimiser state")
            count += bool(expected)
        for parameter in run.parameters:
            parameter.grad = torch.ones_like(parameter)
        run.optimizer.step()
        run.optimizer.zero_grad()
    return count


class _Modes:
    """Watches a run: which frozen stages were ever in training mode."""

    def __init__(self, network: Network, plan: Plan) -> None:
        self.network, self.plan, self.awake = network, plan, set[str]()

    def on_phase(self, phase: PhaseStart) -> None: ...

    def on_epoch(self, record: EpochRecord) -> None: ...

    def on_step(self, record: StepRecord) -> None:
        for index, cell in enumerate(self.plan.phases[record.phase].cells):
            parts = [] if cell.trainable else self.network.stage_modules(index)
            self.awake.update(self.plan.stages[index] for part in parts for module in part.modules() if module.training)


def _copied(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.items()}


def _accuracy(network: Network, split: Encoded) -> float:
    inputs = prepare(split.batch(np.arange(len(split))), network.trunk.input)
    return float((logits_of(network, inputs).argmax(1).numpy() == split.targets).mean())
