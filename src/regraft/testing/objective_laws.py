"""Every law over an objective that you registered: it is written down and read back (9), ends the same twice and after a kill (7),
the same cached as live (4), whatever the parts of a batch, and it learns the toy (10)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from regraft import tasks
from regraft.cache import Cache
from regraft.data.encode import Encoded, prepare
from regraft.plan.objective import Objectives
from regraft.plan.plan import Plan
from regraft.tasks import Task
from regraft.testing.examples import NUM_CLASSES, images, images_of_two_tasks
from regraft.testing.law import law
from regraft.testing.model_laws import LIMIT_BYTES, logits_of
from regraft.testing.plan_laws import check_plan
from regraft.testing.planning import toy_plan
from regraft.testing.toy import WIDTH, ToyTrunk, toy_network
from regraft.train.feed import LiveFeed
from regraft.train.fit import fit
from regraft.train.objective import Ask, TeacherLogits, check, read
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.train.terms import Terms
from regraft.trunk.measure import measure
from regraft.trunk.network import Network

CONFIDENCE = 4.0
STOPPED_AFTER = 3
SOURCE = 5


class Stopped(Exception):
    """The run of a law was stopped on purpose."""


class _StopAfter:
    """Ends a run as a crash would."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_phase(self, phase: Any) -> None: ...

    def on_epoch(self, record: Any) -> None: ...

    def on_step(self, record: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped


TWO_TASKS = {"tasks": [
    {"name": "channel", "task": "image-classification", "classes": [str(index) for index in range(NUM_CLASSES)], "facts": {}},
    {"name": "brightness", "task": "image-regression", "classes": ["value"], "facts": {"mean": 0.0, "std": 5.0}},
]}  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """What an objective is tried on: the toy with one task, or with two for those that weigh tasks. ``make(**options)``: a network;
    ``examples(n, seed=...)``."""

    task: Task
    make: Callable[..., Network]
    examples: Callable[..., Encoded]

    @classmethod
    def of(cls, objectives: Objectives) -> Ground:
        if not any(one.weighs for one in check(objectives)):
            return cls(tasks.of("image-classification"), toy_network, images)
        task = tasks.of("image-multitask").bound(TWO_TASKS)
        return cls(task, partial(_with_two_heads, task), images_of_two_tasks)

    def plan(self, strategy: str, *, objectives: Objectives, **settings: Any) -> Plan:
        network = self.make()
        return replace(toy_plan(strategy, network, outline=measure(network.trunk), **settings), objectives=objectives, task=self.task.name)


def _with_two_heads(task: Task, *, dropout: float = 0.1) -> Network:
    torch.manual_seed(0)
    trunk = ToyTrunk(dropout=dropout)
    return Network(trunk, task.head(trunk, 2, dropout))


def brought(objectives: Objectives, train: Encoded) -> dict[Ask, Any]:
    """What the conductor would bring, for the toy: a teacher that knows the targets, features of the toy's width, the split itself, a source head for
    ``SOURCE`` categories."""
    classes = train.targets if train.targets.ndim == 1 else np.nan_to_num(train.targets[:, 0]).astype(int)
    sure = CONFIDENCE * np.eye(NUM_CLASSES, dtype=np.float32)[classes]
    made = {"logits": lambda ask: TeacherLogits(sure, np.arange(NUM_CLASSES)), "examples": lambda ask: train,
            "features": lambda ask: {stage: np.tile(sure, WIDTH)[:, :WIDTH] for stage in ask.stages}, "source_head": lambda ask: _source_head()}  # fmt: skip
    return {ask: made[ask.what](ask) for declared in check(objectives) for ask in declared.asks}


def _source_head() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return nn.Linear(WIDTH, SOURCE)


def check_objective(text: str) -> dict[str, Any]:
    """Laws 4, 7, 9 and 10 of ``text``, an objective as it is typed, and that parts of a batch add up. Returns what was found on the way."""
    objectives = read(text)
    ground = Ground.of(objectives)
    train = ground.examples(48)
    top = ground.plan("top(n=2)", objectives=objectives)
    full = ground.plan("full", objectives=objectives, lr=5e-3)
    long = ground.plan("full", objectives=objectives, epochs=8.0, warmup_fraction=0.1)
    return {
        "phases": check_plan(full, measure(ground.make().trunk)),
        "parts": _check_parts(ground, top, train),
        "resumed": _check_resume(ground, full, train),
        "cached": _check_cached(ground, top, train),
        "learned": _check_learns(ground, long),
    }


def _trained(ground: Ground, network: Network, plan: Plan, train: Encoded, folder: Path, **facts: Any) -> Any:
    data: Mapping[str, Any] = {"train": train, "valid": None, "asked": brought(plan.objectives, train)}
    return fit(network, plan, ground.task, data, folder=folder, **facts)


def _check_parts(ground: Ground, plan: Plan, train: Encoded) -> float:
    """The gradient of a batch is that of its parts; in the frozen stages, whose batch-norm keeps still, and in those above, set to eval."""
    ends = []
    for size in (12, 5):
        network = ground.make(dropout=0.0)
        run = Run.of(network, plan, ground.task)
        run.terms = Terms.begin(run, train, brought(plan.objectives, train))
        run.enter(4)
        network.eval()
        feed = LiveFeed(network=network, encoded=train, device=run.device)
        value = gradients(run, feed, feed.parts(np.arange(12), size=size, seed=0, epoch=0), count=12)
        ends.append(torch.cat([value.reshape(1), *(p.grad.flatten() for p in run.parameters if p.grad is not None)]))
    difference = float((ends[0] - ends[1]).abs().max())
    law(difference <= 1e-4, f"{plan.objectives[0]}: a batch in parts differs from the batch by {difference:.1e}")
    return difference


def _check_resume(ground: Ground, plan: Plan, train: Encoded) -> int:
    """A run that was stopped and goes on ends with the bytes of one that was not. Returns after how many steps it was stopped."""
    whole, again = ground.make(), ground.make()
    with tempfile.TemporaryDirectory() as folder:
        _trained(ground, whole, plan, train, Path(folder, "whole"))
        try:
            _trained(ground, ground.make(), plan, train, Path(folder, "stopped"), observer=_StopAfter(STOPPED_AFTER))
        except Stopped:
            _trained(ground, again, plan, train, Path(folder, "stopped"), resume=True)
    ours, theirs = whole.state_dict(), again.state_dict()
    differing = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    law(not differing, f"{plan.objectives[0]}: stopped and resumed, {', '.join(differing[:3])} differs")
    return STOPPED_AFTER


def _check_cached(ground: Ground, plan: Plan, train: Encoded, *, tolerance: float = 1e-4) -> int:
    live, read_back = ground.make(dropout=0.0), ground.make(dropout=0.0)
    with tempfile.TemporaryDirectory() as folder:
        _trained(ground, live, plan, train, Path(folder, "live"))
        history = _trained(ground, read_back, plan, train, Path(folder, "cached"), cache=Cache(Path(folder, "cache"), LIMIT_BYTES))
    difference = float((_logits(live, train) - _logits(read_back, train)).abs().max())
    law(difference <= tolerance, f"{plan.objectives[0]}: trained on cached activations, logits differ by {difference:.1e}")
    return sum(phase.cached for phase in history.phases)


def _check_learns(ground: Ground, plan: Plan, *, margin: float = 0.2) -> float:
    network, train, test = ground.make(), ground.examples(160, seed=1), ground.examples(150, seed=2)
    fresh = _accuracy(network, test)
    with tempfile.TemporaryDirectory() as folder:
        _trained(ground, network, plan, train, Path(folder))
    learned = _accuracy(network, test)
    law(learned >= fresh + margin, f"{plan.objectives[0]}: accuracy {learned:.2f} after training, {fresh:.2f} with a fresh head")
    return learned


def _logits(network: Network, split: Encoded) -> torch.Tensor:
    return logits_of(network, prepare(split.batch(np.arange(len(split))), network.trunk.input))


def _accuracy(network: Network, split: Encoded) -> float:
    """Of the classes, which are the first target where there are two; examples without one do not count."""
    classes = split.targets if split.targets.ndim == 1 else split.targets[:, 0]
    found = _logits(network, split)[:, :NUM_CLASSES].argmax(1).numpy()
    return float((found == classes)[~np.isnan(classes)].mean())
