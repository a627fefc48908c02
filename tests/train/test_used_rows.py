"""A table of which the data name few rows trains as if all of it did, but for the rows that are never named."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from train_hosts import TEXT, full, phase, plan, text_network, texts

from regraft.plan.objective import parse
from regraft.train import used_rows
from regraft.train.fit import fit as train_network
from regraft.train.terms import Terms


def few_words(n: int, *, seed: int = 0):
    data = texts(n, seed=seed)
    data.array = np.where(data.array > 30, 0, data.array)  # rows 31 to 60 are named nowhere
    return data


def network_with_a_table(seed: int = 0):
    network = text_network(seed=seed)
    host = network.trunk.host
    host.get_input_embeddings = lambda: host.embedding
    return network


def trained(tmp_path, monkeypatch, *, worth: float, strategy=full, objectives="", observer=None, resume=False, **settings):
    monkeypatch.setattr(used_rows, "WORTH", worth)
    network = network_with_a_table()
    chosen = replace(strategy(network, epochs=3.0, **settings), objectives=parse(objectives))
    history = train_network(
        network, chosen, TEXT, {"train": few_words(30), "valid": texts(12, seed=1)}, folder=tmp_path, observer=observer, resume=resume
    )
    return network, history


def table(network):
    return network.trunk.host.embedding.weight.detach()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_named_rows_end_as_in_a_dense_update_and_the_others_as_they_came(tmp_path, monkeypatch, optimizer):
    start = table(network_with_a_table()).clone()
    settings = {"optimizer": optimizer, "lr": 1e-2, "weight_decay": 0.1}
    dense, _ = trained(tmp_path / "dense", monkeypatch, worth=np.inf, **settings)
    rows, _ = trained(tmp_path / "rows", monkeypatch, worth=0, **settings)
    named = np.unique(few_words(30).array)
    others = np.setdiff1d(np.arange(61), named)
    torch.testing.assert_close(table(rows)[named], table(dense)[named], atol=1e-6, rtol=1e-5)
    assert torch.equal(table(rows)[others], start[others])
    assert not torch.equal(table(dense)[others], start[others]), "decay moves them in a dense update"
    for name, value in rows.state_dict().items():
        if "embedding" not in name:
            torch.testing.assert_close(value, dense.state_dict()[name], atol=1e-6, rtol=1e-5)


def test_phases_carry_the_moments_of_the_rows(tmp_path, monkeypatch):
    def two_phases(network, **settings):
        return plan(
            network,
            [phase("first", [True] * 5, epochs_fraction=0.5), phase("second", [True] * 5, epochs_fraction=0.5, lr_scale=0.3)],
            **settings,
        )

    dense, _ = trained(tmp_path / "dense", monkeypatch, worth=np.inf, strategy=two_phases, weight_decay=0.0)
    rows, _ = trained(tmp_path / "rows", monkeypatch, worth=0, strategy=two_phases, weight_decay=0.0)
    torch.testing.assert_close(table(rows), table(dense), atol=1e-6, rtol=1e-5)


class Stop(Exception): ...


class StopAt:
    def __init__(self, step: int) -> None:
        self.step = step

    def on_phase(self, start) -> None: ...

    def on_epoch(self, record) -> None: ...

    def on_step(self, record) -> None:
        if record.step == self.step:
            raise Stop


def test_a_run_that_was_killed_ends_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("regraft.train.checkpoint.COST_LIMIT", 1e9)
    whole, _ = trained(tmp_path / "whole", monkeypatch, worth=0, ema=0.9)
    with pytest.raises(Stop):
        trained(tmp_path / "cut", monkeypatch, worth=0, ema=0.9, observer=StopAt(6))
    resumed, _ = trained(tmp_path / "cut", monkeypatch, worth=0, ema=0.9, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_nothing_of_it_is_left_and_the_whole_table_counts_as_trainable(tmp_path, monkeypatch):
    rows, history = trained(tmp_path, monkeypatch, worth=0)
    assert not rows.trunk.host.embedding._forward_hooks
    assert history.phases[0].trainable_parameters == sum(p.numel() for p in rows.parameters())


@pytest.mark.parametrize("why", ["frozen", "shared", "scaled", "small"])
def test_a_table_trains_whole_where_rows_would_be_wrong_or_win_nothing(monkeypatch, why):
    monkeypatch.setattr(used_rows, "WORTH", np.inf if why == "small" else 0)
    network = network_with_a_table()
    chosen = plan(network, [phase("top", [False, True, True, True, True])]) if why == "frozen" else full(network)
    if why == "shared":
        network.tied = torch.nn.Linear(16, 61, bias=False)
        network.tied.weight = network.trunk.host.embedding.weight
    if why == "scaled":
        network.trunk.host.embedding.scale_grad_by_freq = True
    assert used_rows.used_rows(network, chosen, few_words(30)) is None


def test_an_objective_that_reaches_for_parameters_gets_the_table(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(sys.modules["regraft.train.fit"], "used_rows", lambda *args: looked.append(args))
    trained(tmp_path / "plain", monkeypatch, worth=0)
    assert len(looked) == 1
    trained(tmp_path / "reaching", monkeypatch, worth=0, objectives="sam")
    assert len(looked) == 1


def test_keeping_the_books_of_several_tasks_is_not_reaching_for_parameters():
    network = network_with_a_table()
    task = SimpleNamespace(each=TEXT.losses, members=[SimpleNamespace(name="one")])
    run = SimpleNamespace(network=network, plan=full(network), task=task, device=torch.device("cpu"))
    made = Terms.begin(run, few_words(8), {})
    assert made.terms and not made.reach_for_parameters
    run.plan, run.task = replace(run.plan, objectives=parse("sam")), TEXT
    assert Terms.begin(run, few_words(8), {}).reach_for_parameters
