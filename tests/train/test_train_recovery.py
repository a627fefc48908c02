"""Numbers that are no longer finite: back to a good state with a lower rate, three times at most, then a diagnosis."""

from __future__ import annotations

import pytest
import torch
from test_train_resume import KillAfter, Killed
from train_hosts import TEXT, full, same, text_network, texts, weights

from regraft.errors import TrainingDiverged
from regraft.train import checkpoint
from regraft.train.checkpoint import GOOD_STEPS
from regraft.train.fit import fit


def with_faults(network, steps, stage=1):
    """The given training forwards of the host give NaN in one block, each once."""
    calls, faulty = [0], set(steps)

    def spoil(module, args, output):
        if module.training:
            calls[0] += 1
            if calls[0] in faulty:
                return output * float("nan")
        return None

    network.host.blocks[stage].register_forward_hook(spoil)
    return network


PREFLIGHT = 6
"""Training forwards that preflight makes: two steps, and twice two more."""


def test_a_passing_fault_costs_a_return_and_three_quarters_of_the_rate(tmp_path):
    network = with_faults(text_network(), {PREFLIGHT + 6})
    history = fit(
        network,
        full(network, epochs=4.0, schedule="constant", warmup_fraction=0.0),
        TEXT,
        {"train": texts(32), "valid": None},
        folder=tmp_path,
    )
    assert len(history.events) == 1 and len(history.phases) == 1
    assert history.events[0].startswith("not finite at step 6 of phase 'all'") and history.events[0].endswith(
        "back to step 0 with 0.25 of the rate"
    )
    assert {r.lr for r in history.steps} == {0.0025} and [r.step for r in history.steps] == list(range(1, 17))
    assert all(torch.isfinite(tensor).all() for tensor in weights(network).values())


def test_a_rate_that_is_far_too_high_is_brought_down_until_it_trains(tmp_path):
    network = text_network()
    plan = full(network, epochs=6.0, lr=30.0, optimizer="sgd", clip=0.0, momentum=0.9, warmup_fraction=0.0)
    history = fit(network, plan, TEXT, {"train": texts(64), "valid": texts(30, seed=1)}, folder=tmp_path)
    assert 1 <= len(history.events) <= 3
    assert all(torch.isfinite(tensor).all() for tensor in weights(network).values())


def test_it_gives_up_with_stage_and_step(tmp_path):
    network = text_network()
    network.host.blocks[2].register_forward_hook(lambda module, args, output: output / 0.0 if output.shape[0] == 7 else None)
    with pytest.raises(
        TrainingDiverged,
        match=r"not finite at step \d of phase 'all', in stage 'blocks.2': its output is not finite, after 3 returns .*\ntry:   --lr ",
    ):
        fit(network, full(network, epochs=1.0, batch_size=8), TEXT, {"train": texts(23), "valid": None}, folder=tmp_path)


def test_a_run_that_recovered_resumes_bit_identical(tmp_path, monkeypatch):
    def make():
        network = text_network()

        def spoil(module, args, output):  # a fault of the data and the weights: it comes whenever the rate is full
            return output * float("nan") if network.training and module.mlp["fc1"].weight.abs().max() > limit[0] else None

        network.host.blocks[0].register_forward_hook(spoil)
        return network

    limit = [float("inf")]
    plan = full(text_network(), epochs=4.0, lr=3e-2, schedule="constant", warmup_fraction=0.0, weight_decay=0.0)
    data = {"train": texts(32), "valid": None}
    free = text_network()
    fit(free, plan, TEXT, data, folder=tmp_path / "free")
    limit[0] = float(free.host.blocks[0].mlp["fc1"].weight.detach().abs().max()) * 0.9
    whole = make()
    history = fit(whole, plan, TEXT, data, folder=tmp_path / "whole")
    assert history.events
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "COST_LIMIT", float("inf"))
    steps = 1
    while True:
        again = make()
        try:
            fit(again, plan, TEXT, data, folder=tmp_path / "killed", observer=KillAfter(steps), resume=True)
            break
        except Killed:
            steps = steps % 7 + 2
    assert same(weights(again), weights(whole))


def test_good_states_are_at_fixed_steps(tmp_path, monkeypatch):
    kept = []
    save = checkpoint.Checkpoints.save
    monkeypatch.setattr(
        checkpoint.Checkpoints, "save", lambda self, name, state: (kept.append((name, state["position"][2])), save(self, name, state))
    )
    monkeypatch.setattr("regraft.train.loop.GOOD_STEPS", 5)
    network = text_network()
    fit(network, full(network, epochs=6.0), TEXT, {"train": texts(24), "valid": None}, folder=tmp_path)
    assert [step for name, step in kept if name == checkpoint.GOOD] == [0, 6, 12, 18]
    assert GOOD_STEPS >= 100
