"""``co_tuning``: the relation of categories where it is known, the loss by hand, and a source head that learns on and survives a resume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_train_resume import KillAfter, Killed
from train_hosts import IMAGE, full, image_network, images, phase, plan, same, weights

from regraft import tasks
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.train import checkpoint
from regraft.train.feed import LiveFeed
from regraft.train.fit import fit
from regraft.train.objectives.category_relation import calibration, held_out, logistic, relation_of, softmax, turned
from regraft.train.objectives.co_tuning import SOURCE_HEAD
from regraft.train.run import Run
from regraft.train.step import gradients, update
from regraft.train.terms import Terms

N, SOURCE = 24, 5


def asked():
    torch.manual_seed(3)
    head = torch.nn.Linear(8, SOURCE)
    torch.nn.init.normal_(head.weight, std=3.0)
    return {SOURCE_HEAD: head}


def begun(network, chosen, text, task=IMAGE):
    run, split = Run.of(network, replace(chosen, objectives=parse(text)), task), images(N)
    run.terms = Terms.begin(run, split, asked())
    run.enter(4)
    return run, LiveFeed(network=network, encoded=split, device=run.device)


def value_of(run, feed, size=8):
    return gradients(run, feed, feed.parts(np.arange(8), size=size, seed=0, epoch=0), count=8)


def still_network():
    """Without dropout, and with batch-norm that keeps still, so that numbers can be told by hand."""
    network = image_network()
    network.host.body[3].p = 0.0
    return network


# -- the relation ------------------------------------------------------------------------------------------------------------------------


def test_the_direct_relation_is_the_mean_answer_to_a_class():
    answers = np.array([[0.8, 0.2, 0.0], [0.6, 0.4, 0.0], [0.0, 0.1, 0.9]])
    found = relation_of(answers, np.array([0, 0, 2]), 3, how="direct", seed=0)
    np.testing.assert_allclose(found, [[0.7, 0.3, 0.0], [1.4 / 3, 0.7 / 3, 0.3], [0.0, 0.1, 0.9]])  # class 1 has no example


def test_a_relation_is_turned_round_by_bayes():
    given_source = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])  # source 1 is half of each target
    found = turned(given_source, np.array([0.5, 0.4, 0.1]))
    np.testing.assert_allclose(found, [[0.5 / 0.7, 0.2 / 0.7, 0.0], [0.0, 0.2 / 0.3, 0.1 / 0.3]])


def of_a_known_relation(n=600):
    """Target 0 is source 0 or 1, target 1 is source 2; the source head is nearly sure."""
    draws = np.random.default_rng(0)
    targets = draws.integers(2, size=n)
    sources = np.where(targets == 0, draws.integers(2, size=n), 2)
    return softmax(6.0 * np.eye(4)[sources] + draws.normal(size=(n, 4)) * 0.1), targets


def test_the_logistic_relation_finds_what_the_categories_share():
    answers, targets = of_a_known_relation()
    found = relation_of(answers, targets, 2, how="logistic", seed=0)
    np.testing.assert_allclose(found.sum(1), 1.0)
    np.testing.assert_allclose(found, [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], atol=0.06)


def test_it_is_the_same_each_time_and_a_class_without_an_example_is_as_all_are():
    answers, targets = of_a_known_relation(60)
    one, other = (relation_of(answers, 2 * targets, 3, how="logistic", seed=1) for _ in range(2))
    assert np.array_equal(one, other)
    np.testing.assert_allclose(one[1], answers.mean(0))


def test_three_classes_are_told_apart_too():
    draws = np.random.default_rng(2)
    targets = draws.integers(3, size=300)
    answers = softmax(5.0 * np.eye(3)[targets] + draws.normal(size=(300, 3)) * 0.1)
    np.testing.assert_allclose(logistic(answers, targets, 3, seed=0), np.eye(3), atol=0.05)


def test_calibration_takes_back_what_made_the_logits_too_sure():
    draws = np.random.default_rng(1)
    logits = draws.normal(size=(4000, 3)) * 2
    truth = np.array([draws.choice(3, p=row) for row in softmax(logits)])
    assert calibration(5 * logits, truth) == pytest.approx(1 / 5, rel=0.1)


def test_a_fifth_of_each_class_is_held_out():
    targets = np.repeat([0, 1, 2], [20, 5, 1])
    held = held_out(targets, 0)
    assert [int(held[targets == one].sum()) for one in range(3)] == [4, 1, 0]


def test_classes_of_one_example_cannot_be_calibrated_on():
    with pytest.raises(PlanError, match=r"no class has two\ntry:   co_tuning\(relation=direct\)"):
        relation_of(np.eye(3), np.arange(3), 3, how="logistic", seed=0)


# -- the loss ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 3])
def test_the_loss_is_the_cross_entropy_with_what_the_class_is_in_the_sources_categories(size):
    chosen = plan(still_network(), [phase("top", [False, True, True])], batch_norm="frozen")
    network, bare = still_network(), still_network()
    run, feed = begun(network, chosen, "co_tuning(weight=0.7, relation=direct)")
    plain, plain_feed = begun(bare, chosen, "")
    inputs, targets = images(N).batch(range(N)), images(N).targets
    with torch.no_grad():
        features = image_network().eval().host(feed.parts(np.arange(N), size=N, seed=0, epoch=0)[0].inputs["image"])
        answers = asked()[SOURCE_HEAD](features).log_softmax(1).numpy()
    relation = np.stack([np.exp(answers[targets == one]).mean(0) for one in range(3)])
    wanted = -0.7 * np.mean([(relation[targets[row]] * answers[row]).sum() for row in range(8)])
    assert (value_of(run, feed, size) - value_of(plain, plain_feed)).item() == pytest.approx(wanted, rel=1e-4)
    assert len(inputs["image"]) == N


def test_of_mixed_examples_the_categories_are_mixed():
    network = still_network()
    run, feed = begun(network, full(network), "co_tuning(relation=direct)")
    (part,) = feed.parts(np.arange(4), size=4, seed=0, epoch=0)
    mixed = replace(part, targets=torch.tensor([[0.5, 0.5, 0.0]] * 4))
    (term,) = run.terms.terms
    features = torch.randn(4, 8)
    cost = {}
    for name, targets in (
        ("mixed", mixed.targets),
        ("first", torch.zeros(4, dtype=torch.long)),
        ("second", torch.ones(4, dtype=torch.long)),
    ):
        seen = type(
            "Seen", (), {"run": run, "part": replace(part, targets=targets), "logits": torch.zeros(4, 3), "features": {"head": features}}
        )
        cost[name] = term.shares(seen)
    torch.testing.assert_close(cost["mixed"], (cost["first"] + cost["second"]) / 2)


def test_a_phase_that_moves_the_head_alone_costs_nothing():
    network, bare = still_network(), still_network()
    chosen = plan(network, [phase("head", [False, False, True])])
    run, feed = begun(network, chosen, "co_tuning(relation=direct)")
    plain, plain_feed = begun(bare, chosen, "")
    assert value_of(run, feed).item() == value_of(plain, plain_feed).item()


def test_the_source_head_learns_on_with_the_runs_optimiser():
    network = image_network()
    run, feed = begun(network, full(network), "co_tuning(relation=direct)")
    before = {name: tensor.clone() for name, tensor in run.terms.state()[0].items()}
    assert all(any(p is held for held in run.parameters) for p in run.terms.parameters)
    value_of(run, feed)
    update(run, 0.01)
    moved = run.terms.state()[0]
    assert {name: (moved[name] - before[name]).abs().max().item() > 1e-3 for name in before} == {"weight": True, "bias": True}


def test_a_run_killed_again_and_again_ends_bit_identical(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "COST_LIMIT", float("inf"))

    def fitted(folder, **facts):
        network = image_network()
        grid = [phase("head", [False, False, True], epochs_fraction=0.3), phase("all", [True] * 3, epochs_fraction=0.7)]
        chosen = replace(plan(network, grid, epochs=3.0), objectives=parse("co_tuning+l2_sp+delta"))
        fit(network, chosen, IMAGE, {"train": images(N), "valid": None, "asked": asked()}, folder=folder, **facts)
        return network

    whole, again, kills = fitted(tmp_path / "whole"), None, 0
    while again is None:
        try:
            again = fitted(tmp_path / "killed", observer=KillAfter(2), resume=True)
        except Killed:
            kills += 1
    assert kills >= 3 and same(weights(again), weights(whole))


def test_other_tasks_and_random_weights_are_refused():
    network = image_network()
    with pytest.raises(
        PlanError, match="co_tuning for image-classification\nfound: its examples do not have one class out of several each"
    ):
        begun(network, full(network), "co_tuning", task=tasks.of("image-multilabel").bound({}))
    with pytest.raises(PlanError, match="co_tuning from random weights"):
        begun(network, plan(network, [phase("all", [True] * 3, fresh=True)]), "co_tuning")
