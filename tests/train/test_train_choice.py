"""Which weights a run is left with: early stopping, averages; and what it says about itself."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from train_hosts import IMAGE, TEXT, full, image_network, images, phase, plan, same, text_network, texts, weights

from regraft.cache.store import Cache
from regraft.evaluate import linear
from regraft.train.ema import Ema
from regraft.train.fit import fit
from regraft.train.history import History
from regraft.train.schedules import factor
from regraft.tune import evidence


class Watch:
    """Keeps the weights after every epoch."""

    def __init__(self, network) -> None:
        self.network, self.epochs, self.phases, self.steps = network, [], [], []

    def on_phase(self, start) -> None:
        self.phases.append(start)

    def on_step(self, record) -> None:
        self.steps.append(record)

    def on_epoch(self, record) -> None:
        self.epochs.append((record, weights(self.network)))


def test_early_stopping_ends_the_run_and_restores_the_best_weights(tmp_path):
    network, watch = text_network(), None
    watch = Watch(network)
    plan_ = full(network, epochs=60.0, lr=3e-2, schedule="constant", patience=3)
    history = fit(network, plan_, TEXT, {"train": texts(24), "valid": texts(31, seed=1)}, folder=tmp_path, observer=watch)
    values = [record.valid["accuracy"] for record, _ in watch.epochs]
    assert len(values) < 60
    last_best = max(index for index, value in enumerate(values) if value == max(values))
    first_best = values.index(max(values))
    assert len(values) == first_best + 1 + 3
    assert history.best == {"phase": 0, "epoch": last_best + 1, "value": max(values)}
    assert same(weights(network), watch.epochs[last_best][1])
    assert not same(weights(network), watch.epochs[-1][1]) or last_best == len(values) - 1


def test_without_patience_the_last_weights_stay(tmp_path):
    network = text_network()
    watch = Watch(network)
    fit(network, full(network, epochs=5.0), TEXT, {"train": texts(24), "valid": texts(20, seed=1)}, folder=tmp_path, observer=watch)
    assert len(watch.epochs) == 5 and same(weights(network), watch.epochs[-1][1])


@pytest.mark.parametrize("settings", [{}, {"ema": 0.8}, {"patience": 2, "lr": 3e-2, "epochs": 20.0}, {"epochs": 1.4}])
def test_what_valid_was_answered_last_is_not_computed_again(tmp_path, settings):
    network, valid = text_network(), texts(31, seed=1)
    history = fit(network, full(network, **settings), TEXT, {"train": texts(24), "valid": valid}, folder=tmp_path)
    assert np.allclose(history.answers, evidence.logits(network, valid), atol=1e-5)


def test_answers_are_not_known_where_the_weights_moved_after_them(tmp_path):
    data, known = {"train": texts(60), "valid": texts(40, seed=1)}, []
    for name, phases, settings in (
        ("between", [phase("all", [True] * 5)], {"wise_ft": 0.5}),
        ("worse", [phase("good", [True] * 5, epochs_fraction=0.8), phase("bad", [True] * 5, epochs_fraction=0.2, lr_scale=100.0)],
         {"patience": 10, "epochs": 10.0}),
        ("solved", [phase("all", [True] * 5), phase("solved", [False] * 4 + [True], solver="closed_form", epochs_fraction=0.0)], {}),
    ):  # fmt: skip
        network = text_network()
        known.append(fit(network, plan(network, phases, **settings), TEXT, data, folder=tmp_path / name).answers)
    assert all(answers is None for answers in known)


def test_answers_from_what_was_kept_are_not_taken_for_the_networks_own(tmp_path):
    network = text_network()
    top = plan(network, [phase("top", [False, False, True, True, True])], epochs=3.0)
    data = {"train": texts(24), "valid": texts(31, seed=1)}
    history = fit(network, top, TEXT, data, folder=tmp_path / "run", cache=Cache(tmp_path / "cache", 1 << 24))
    assert history.phases[0].cached and history.answers is None


def test_a_phase_that_only_makes_it_worse_leaves_what_the_one_before_reached(tmp_path):
    network = text_network()
    watch = Watch(network)
    two = plan(network, [phase("good", [True] * 5, epochs_fraction=0.8), phase("bad", [True] * 5, epochs_fraction=0.2, lr_scale=100.0)],
               epochs=10.0, patience=10)  # fmt: skip
    history = fit(network, two, TEXT, {"train": texts(60), "valid": texts(40, seed=1)}, folder=tmp_path, observer=watch)
    values = [record.valid["accuracy"] for record, _ in watch.epochs]
    assert max(values[:8]) > max(values[8:])
    assert history.best["phase"] == 0 and same(weights(network), watch.epochs[int(history.best["epoch"]) - 1][1])


def test_a_trained_head_moves_half_way_to_the_solved_one(tmp_path, monkeypatch):
    network, solved = text_network(), []
    watch = Watch(network)

    def solve(*given, **options):
        solved.append(TEXT.solve(*given, **options))
        return solved[-1]

    closing = phase("solved", [False] * 4 + [True], solver="closed_form", epochs_fraction=0.0)
    two = plan(network, [phase("all", [True] * 5), closing], epochs=8.0)
    fit(network, two, replace(TEXT, solve=solve), {"train": texts(60), "valid": texts(40, seed=1)}, folder=tmp_path, observer=watch)
    trained, weights_now = watch.epochs[-2][1], dict(network.named_parameters())
    for name, best in zip(("head.linear.weight", "head.linear.bias"), solved[0], strict=True):
        torch.testing.assert_close(weights_now[name], (trained[name] + torch.from_numpy(best).to(trained[name])) / 2)


def test_the_average_is_the_average_and_what_the_run_is_left_with(tmp_path):
    network, expected = text_network(), None
    names = dict(network.named_parameters())
    count = [0]

    class Average(Watch):
        def on_step(self, record):
            nonlocal expected
            count[0] += 1
            decay = min(0.8, count[0] / (9 + count[0]))
            now = {name: p.detach().clone() for name, p in names.items()}
            expected = {name: start[name] * decay + now[name] * (1 - decay) for name in now} if expected is None else {
                name: expected[name] * decay + now[name] * (1 - decay) for name in now}  # fmt: skip

    start = {name: p.detach().clone() for name, p in names.items()}
    fit(
        network,
        full(network, epochs=3.0, ema=0.8),
        TEXT,
        {"train": texts(32), "valid": texts(8, seed=1)},
        folder=tmp_path,
        observer=Average(network),
    )
    assert all(torch.allclose(names[name], expected[name], atol=1e-6) for name in names)


def test_swapping_twice_is_nothing():
    live = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    average = Ema(live, 0.5)
    live["w"].add_(1.0)
    live["n"].add_(1)
    average.update()
    with average.swapped():
        assert live["w"].tolist() == pytest.approx([1.9, 2.9]) and int(live["n"]) == 4
    assert live["w"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup_fraction", [0.0, 0.3, 1.0])
def test_a_schedule_rises_and_falls_and_wastes_no_step(schedule, warmup_fraction):
    rates = [factor(step, 40, schedule=schedule, warmup_fraction=warmup_fraction) for step in range(40)]
    warmup = min(round(warmup_fraction * 40), 39)
    assert all(0.0 < rate <= 1.0 for rate in rates)
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1]) and rates[warmup] == 1.0
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert factor(0, 1, schedule=schedule, warmup_fraction=warmup_fraction) == 1.0


def test_a_head_in_closed_form_is_the_solvers_and_training_goes_on_from_it(tmp_path):
    network, data = text_network(), texts(60)
    with torch.no_grad():
        features = (
            network.eval().head.pool(network.trunk.features(data.batch(np.arange(60))), data.batch(np.arange(60))["attention_mask"]).numpy()
        )
    expected = linear.fit(features, data.targets, num_classes=3, seed=0)
    frozen = [False] * 4
    only = plan(network, [phase("solve", [*frozen, True], solver="closed_form", epochs_fraction=0.0)])
    history = fit(network, only, TEXT, {"train": data, "valid": texts(30, seed=1)}, folder=tmp_path / "one")
    assert np.allclose(network.head.linear.weight.detach(), expected.weights, atol=2e-2)
    assert history.epochs[0].valid["accuracy"] > 0.6 and history.phases[0].steps == 0
    both = plan(network, [*only.phases, phase("all", [True] * 5)], epochs=1.0, lr=1e-3)
    again = text_network()
    watch = Watch(again)
    fit(again, both, TEXT, {"train": data, "valid": None}, folder=tmp_path / "two", observer=watch)
    assert [p.solver for p in watch.phases] == ["closed_form", "gradient"]
    assert watch.steps[0].loss < 1.0  # a fresh head on three classes starts at 1.1, a solved one that is held back below


@pytest.mark.parametrize("boundary", [1, 3, 4])
def test_cached_training_equals_live_training(tmp_path, boundary):
    cells = [index >= boundary for index in range(5)]
    data = {"train": texts(30), "valid": texts(12, seed=1)}
    networks, histories = [], []
    for cache in (None, Cache(tmp_path / "cache", 1 << 24)):
        network = text_network()
        chosen = plan(network, [phase("top", cells)], epochs=3.0)
        histories.append(fit(network, chosen, TEXT, data, folder=tmp_path / str(cache is None), cache=cache))
        networks.append(weights(network))
    assert [h.phases[0].cached for h in histories] == [False, True] and not histories[1].events
    assert all(torch.allclose(networks[0][name], networks[1][name], atol=1e-5) for name in networks[0])


def test_cached_training_resumes_bit_identical(tmp_path):
    from test_train_resume import KillAfter, Killed

    cells, data = [False, False, True, True, True], {"train": texts(30), "valid": texts(12, seed=1)}
    whole, again = text_network(), text_network()
    chosen = plan(whole, [phase("top", cells)], epochs=3.0)
    fit(whole, chosen, TEXT, data, folder=tmp_path / "whole", cache=Cache(tmp_path / "cache", 1 << 24))
    with pytest.raises(Killed):
        fit(again, chosen, TEXT, data, folder=tmp_path / "killed", cache=Cache(tmp_path / "cache", 1 << 24), observer=KillAfter(7))
    again = text_network()
    fit(again, chosen, TEXT, data, folder=tmp_path / "killed", cache=Cache(tmp_path / "cache", 1 << 24), resume=True)
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize(
    ("settings", "cached"),
    [({}, True), ({"cache": False}, False), ({"epochs": 1.0}, False), ({"augment": (("flip", 0.5),)}, False),
     ({"augment": (("flip", 0.5),), "cache_views": 2}, True), ({"augment": (("mixup", 0.5),), "cache_views": 2}, False)],
)  # fmt: skip
def test_the_cache_is_used_only_where_every_pass_is_the_same(tmp_path, settings, cached):
    network = image_network()
    chosen = plan(network, [phase("top", [False, True, True])], **settings)
    history = fit(
        network,
        chosen,
        IMAGE,
        {"train": images(20), "valid": images(8, seed=1)},
        folder=tmp_path / "run",
        cache=Cache(tmp_path / "cache", 1 << 24),
    )
    assert history.phases[0].cached is cached


def test_a_cache_that_is_too_small_is_noted_and_the_phase_trained_live(tmp_path):
    network = text_network()
    chosen = plan(network, [phase("top", [False, True, True, True, True])])
    history = fit(network, chosen, TEXT, {"train": texts(30), "valid": None}, folder=tmp_path / "run", cache=Cache(tmp_path / "cache", 10))
    assert not history.phases[0].cached and history.events[0].startswith("phase 'top' is trained live: cache")


def test_the_history_is_plain_data_and_says_how_far_each_stage_went(tmp_path):
    network = text_network()
    before = weights(network)
    chosen = plan(network, [phase("top", [False, False, False, True, True])])
    history = fit(network, chosen, TEXT, {"train": texts(30), "valid": texts(8, seed=1)}, folder=tmp_path)
    assert History.from_json(json.loads(json.dumps(history.json()))) == history
    assert history.drift["stem"] == history.drift["blocks.1"] == 0.0 and list(history.drift) == list(network.stage_names)
    after, block = weights(network), [name for name in before if ".blocks.2." in name]
    moved = math.sqrt(
        sum(float((after[n] - before[n]).square().sum()) for n in block) / sum(float(before[n].square().sum()) for n in block)
    )
    assert history.drift["blocks.2"] == pytest.approx(moved, rel=1e-5)
    assert history.steps[-1].epoch == 2.0 and history.train_s > 0 and not network.training
