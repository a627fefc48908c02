"""``dpo`` over preference pairs: its value, parts add up, stopped and resumed, cached as live, and it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from regraft import tasks
from regraft.cache import Cache
from regraft.data import load
from regraft.data.encode import encode
from regraft.errors import PlanError
from regraft.surgery import heads
from regraft.testing.examples import images
from regraft.testing.objective_laws import Stopped, _StopAfter
from regraft.testing.planning import toy_plan
from regraft.testing.toy import toy_network
from regraft.train.feed import LiveFeed
from regraft.train.fit import fit
from regraft.train.objective import read
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.train.terms import Terms
from regraft.trunk import load as models
from regraft.trunk.network import Network
from regraft.tune import evidence
from regraft.tune.reference import compare
from small_decoder import decoder_folder, wishes, write

TASK = tasks.of("preference")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return decoder_folder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def pairs(folder, tmp_path_factory):
    network = network_of(folder)
    data = load(write(tmp_path_factory.mktemp("pairs") / "pairs.json", wishes(16)), valid_fraction=0, test_fraction=0)
    made = encode(data.splits["train"], network.trunk.input, network.trunk.tokenizer)
    compare(network, TASK, [made])
    return made


def network_of(folder) -> Network:
    trunk = models.load(f"file:{folder}", language=True)
    heads.strip(trunk)
    return Network(trunk, TASK.head(trunk, 0, 0.0)).eval()


def plan_of(network, strategy="full", text="dpo(beta=0.1)", **settings):
    settings = {"dropout": 0.0, "batch_size": 8, "lr": 3e-3, "epochs": 2.0, **settings}
    return replace(toy_plan(strategy, network, **settings), task=TASK.name, objectives=read(text))


def value_of(network, pairs, text, *, size=8):
    run = Run.of(network, plan_of(network, text=text), TASK)
    run.terms = Terms.begin(run, pairs, {})
    run.enter(4)
    network.eval()
    feed = LiveFeed(network=network, encoded=pairs, device=run.device)
    value = gradients(run, feed, feed.parts(np.arange(8), size=size, seed=0, epoch=0), count=8)
    gradient = torch.cat([p.grad.flatten() for p in run.parameters])
    run.optimizer.zero_grad()
    return float(value), gradient


def trained(network, plan, pairs, place, **facts):
    return fit(network, plan, TASK, {"train": pairs, "valid": None}, folder=place, **facts)


def test_at_the_start_nobody_is_preferred(folder, pairs):
    network = network_of(folder)
    assert value_of(network, pairs, "dpo(beta=0.3)")[0] == pytest.approx(math.log(2), abs=1e-4)
    answers = TASK.answers(evidence.logits(network, pairs, task=TASK))
    assert np.array_equal(answers[:, :2].astype(np.float32), pairs.targets)
    assert TASK.document(answers, pairs.targets, ())["metrics"]["preference_accuracy"]["value"] == 0.5


def test_it_is_the_loss_of_the_paper(folder, pairs):
    network = network_of(folder)
    answers, kept = TASK.answers(evidence.logits(network, pairs, task=TASK)), pairs.targets
    pairs.targets = (kept + np.arange(32).reshape(16, 2) % 3).astype(np.float32)  # as if training had moved it since
    try:
        gained = answers[:8, :2] - pairs.targets[:8]
        margin = 0.2 * (gained[:, 0] - gained[:, 1])
        expected = np.log1p(np.exp(-margin)).mean()
        smoothed = (0.9 * np.log1p(np.exp(-margin)) + 0.1 * np.log1p(np.exp(margin))).mean()
        chosen = (-answers[:8, 0] / answers[:8, 2]).mean()
        assert value_of(network, pairs, "dpo(beta=0.2)")[0] == pytest.approx(expected, rel=1e-4)
        assert value_of(network, pairs, "dpo(beta=0.2, label_smoothing=0.1)")[0] == pytest.approx(smoothed, rel=1e-4)
        assert value_of(network, pairs, "dpo(beta=0.2, sft=0.5)")[0] == pytest.approx(expected + 0.5 * chosen, rel=1e-4)
    finally:
        pairs.targets = kept


def test_parts_add_up_to_the_batch(folder, pairs):
    network = network_of(folder)
    whole, parts = (value_of(network, pairs, "dpo(beta=0.1, sft=0.1)", size=size) for size in (8, 3))
    assert whole[0] == pytest.approx(parts[0], rel=1e-5)
    assert torch.allclose(whole[1], parts[1], atol=1e-5)


def test_cached_as_live_and_learned(folder, pairs, tmp_path):
    ends = []
    for cache in (None, Cache(tmp_path / "cache", 1 << 30)):
        network = network_of(folder)
        history = trained(network, plan_of(network, "top(n=2)", epochs=6.0), pairs, tmp_path / str(cache is None), cache=cache)
        assert history.phases[0].cached == (cache is not None)
        ends.append(evidence.logits(network, pairs, task=TASK))
    live, cached = (TASK.answers(end) for end in ends)
    assert np.allclose(live, cached, atol=1e-3)
    assert TASK.document(cached, pairs.targets, ())["metrics"]["preference_accuracy"]["value"] > 0.9


def test_stopped_and_resumed_ends_with_the_same_bytes(folder, pairs, tmp_path):
    whole, again = network_of(folder), network_of(folder)
    plan = plan_of(whole, "lora(rank=2)")
    trained(whole, plan, pairs, tmp_path / "whole")
    with pytest.raises(Stopped):
        trained(network_of(folder), plan, pairs, tmp_path / "stopped", observer=_StopAfter(3))
    trained(again, plan, pairs, Path(tmp_path / "stopped"), resume=True)
    ours, theirs = whole.state_dict(), again.state_dict()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_it_is_for_pairs_alone(tmp_path):
    network = toy_network()
    plan = replace(toy_plan("full", network), objectives=read("dpo"))
    with pytest.raises(PlanError, match="it learns from pairs of a chosen and a rejected answer"):
        fit(network, plan, tasks.of(plan.task), {"train": images(8), "valid": None}, folder=tmp_path)
