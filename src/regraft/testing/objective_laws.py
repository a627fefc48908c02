"""Every law over an objective that you registered: it is written down and read back (9), ends the same twice and after a kill (7),
the same cached as live (4), whatever the parts of a batch, and it learns the toy (10)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regraft import tasks
from regraft.cache import Cache
from regraft.data.encode import Encoded, prepare
from regraft.plan.objective import Objectives
from regraft.plan.plan import Plan
from regraft.testing.examples import NUM_CLASSES, images
from regraft.testing.law import law
from regraft.testing.model_laws import LIMIT_BYTES, logits_of
from regraft.testing.plan_laws import check_plan
from regraft.testing.planning import toy_plan
from regraft.testing.toy import WIDTH, toy_network
from regraft.train import fit
from regraft.train.feed import LiveFeed
from regraft.train.objective import Ask, TeacherLogits, check, read
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.train.terms import Terms
from regraft.trunk.measure import measure
from regraft.trunk.network import Network

CONFIDENCE = 4.0
STOPPED_AFTER = 3


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


def brought(objectives: Objectives, train: Encoded) -> dict[Ask, Any]:
    """What the conductor would bring, for the toy: a teacher that knows the targets, features of the toy's width, the split itself."""
    sure = CONFIDENCE * np.eye(NUM_CLASSES, dtype=np.float32)[train.targets]
    made = {"logits": lambda ask: TeacherLogits(sure, np.arange(NUM_CLASSES)), "examples": lambda ask: train,
            "features": lambda ask: {stage: np.tile(sure, WIDTH)[:, :WIDTH] for stage in ask.stages}}  # fmt: skip
    return {ask: made[ask.what](ask) for declared in check(objectives) for ask in declared.asks}


def check_objective(text: str) -> dict[str, Any]:
    """Laws 4, 7, 9 and 10 of ``text``, an objective as it is typed, and that parts of a batch add up. Returns what was found on the way."""
    still = partial(toy_network, dropout=0.0)
    outline, train, objectives = measure(toy_network().trunk), images(48), read(text)
    top = replace(toy_plan("top(n=2)", still(), outline=outline), objectives=objectives)
    full = replace(toy_plan("full", toy_network(), outline=outline, lr=5e-3), objectives=objectives)
    long = replace(toy_plan("full", toy_network(), outline=outline, epochs=8.0, warmup_fraction=0.1), objectives=objectives)
    return {
        "phases": check_plan(full, outline),
        "parts": _check_parts(still, top, train),
        "resumed": _check_resume(full, train),
        "cached": _check_cached(still, top, train),
        "learned": _check_learns(long, images(160, seed=1), images(150, seed=2)),
    }


def _trained(network: Network, plan: Plan, train: Encoded, folder: Path, **facts: Any) -> Any:
    data: Mapping[str, Any] = {"train": train, "valid": None, "asked": brought(plan.objectives, train)}
    return fit(network, plan, tasks.of(plan.task), data, folder=folder, **facts)


def _check_parts(make: Any, plan: Plan, train: Encoded) -> float:
    """The gradient of a batch is that of its parts; in the frozen stages, whose batch-norm keeps still, and in those above, set to eval."""
    ends = []
    for size in (12, 5):
        network = make()
        run = Run.of(network, plan, tasks.of(plan.task))
        run.terms = Terms.begin(run, train, brought(plan.objectives, train))
        run.enter(4)
        network.eval()
        feed = LiveFeed(network=network, encoded=train, device=run.device)
        value = gradients(run, feed, feed.parts(np.arange(12), size=size, seed=0, epoch=0), count=12)
        ends.append(torch.cat([value.reshape(1), *(p.grad.flatten() for p in run.parameters if p.grad is not None)]))
    difference = float((ends[0] - ends[1]).abs().max())
    law(difference <= 1e-4, f"{plan.objectives[0]}: a batch in parts differs from the batch by {difference:.1e}")
    return difference


def _check_resume(plan: Plan, train: Encoded) -> int:
    """A run that was stopped and goes on ends with the bytes of one that was not. Returns after how many steps it was stopped."""
    whole, again = toy_network(), toy_network()
    with tempfile.TemporaryDirectory() as folder:
        _trained(whole, plan, train, Path(folder, "whole"))
        try:
            _trained(toy_network(), plan, train, Path(folder, "stopped"), observer=_StopAfter(STOPPED_AFTER))
        except Stopped:
            _trained(again, plan, train, Path(folder, "stopped"), resume=True)
    ours, theirs = whole.state_dict(), again.state_dict()
    differing = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    law(not differing, f"{plan.objectives[0]}: stopped and resumed, {', '.join(differing[:3])} differs")
    return STOPPED_AFTER


def _check_cached(make: Any, plan: Plan, train: Encoded, *, tolerance: float = 1e-4) -> int:
    live, read_back = make(), make()
    with tempfile.TemporaryDirectory() as folder:
        _trained(live, plan, train, Path(folder, "live"))
        history = _trained(read_back, plan, train, Path(folder, "cached"), cache=Cache(Path(folder, "cache"), LIMIT_BYTES))
    difference = float((_logits(live, train) - _logits(read_back, train)).abs().max())
    law(difference <= tolerance, f"{plan.objectives[0]}: trained on cached activations, logits differ by {difference:.1e}")
    return sum(phase.cached for phase in history.phases)


def _check_learns(plan: Plan, train: Encoded, test: Encoded, *, margin: float = 0.2) -> float:
    network = toy_network()
    fresh = _accuracy(network, test)
    with tempfile.TemporaryDirectory() as folder:
        _trained(network, plan, train, Path(folder))
    learned = _accuracy(network, test)
    law(learned >= fresh + margin, f"{plan.objectives[0]}: accuracy {learned:.2f} after training, {fresh:.2f} with a fresh head")
    return learned


def _logits(network: Network, split: Encoded) -> torch.Tensor:
    return logits_of(network, prepare(split.batch(np.arange(len(split))), network.trunk.input))


def _accuracy(network: Network, split: Encoded) -> float:
    return float((_logits(network, split).argmax(1).numpy() == split.targets).mean())
