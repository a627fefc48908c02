"""The seam of objectives: names and options, shares that add up, resume, cached and live, and losses of one's own."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from test_train_resume import KillAfter, Killed
from torch import nn
from train_hosts import IMAGE, TEXT, full, image_network, images, phase, plan, same, text_network, texts, weights

from regraft.cache import Cache
from regraft.errors import PlanError
from regraft.plan.objective import Objective, parse
from regraft.train import checkpoint
from regraft.train.feed import LiveFeed
from regraft.train.fit import fit
from regraft.train.objective import Ask, TeacherLogits, check, read
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.train.terms import Terms

N = 24


def answers(n: int, columns=(0, 1, 2), seed: int = 3) -> TeacherLogits:
    return TeacherLogits(np.random.default_rng(seed).normal(size=(n, len(columns))).astype(np.float32), np.array(columns))


ASKED = {Ask("logits", "old"): answers(N), Ask("logits", "some"): answers(N, (0, 2)), Ask("examples", "rest"): texts(8, seed=9)}
EVERY = [
    "distill(teacher=some, temperature=4, weight=0.7)",
    "l2_sp(strength=0.1, adapt=drift)+class_balanced",
    "ewc(examples=rest, strength=10, count=6)+logit_adjusted",
    "r_drop+focal",
    "sam(rho=0.1)+distill(teacher=old)+l2_sp",
]


def fitted(tmp_path, text, *, make=text_network, task=TEXT, n=N, train=texts, cache=None, observer=None, resume=False, **settings):
    network = make()
    chosen = replace(full(network, **{"epochs": 2.0} | settings), objectives=read(text))
    data = {"train": train(n), "valid": None, "asked": ASKED}
    history = fit(network, chosen, task, data, folder=tmp_path, cache=cache, observer=observer, resume=resume)
    return network, history


def gradient_of(text, size, make=text_network, split=None, **settings):
    """The gradient of a batch of eleven, in parts of ``size``: (value, gradients)."""
    network, split = make(), split or texts(N)
    chosen = replace(full(network, batch_size=11, **settings), objectives=read(text))
    run = Run.of(network, chosen, TEXT)
    run.terms = Terms.begin(run, split, ASKED)
    run.enter(4)
    with torch.no_grad():
        for parameter in run.parameters:  # away from where penalties are zero
            parameter += 0.01
    feed = LiveFeed(network=network, encoded=split, device=run.device)
    value = gradients(run, feed, feed.parts(np.arange(11), size=size, seed=0, epoch=0), count=11)
    return value, [p.grad.clone() for p in run.parameters]


@pytest.mark.parametrize("text", EVERY)
def test_shares_of_parts_add_up_to_the_batch(text):
    still = lambda: text_network(dropout=0.0)  # noqa: E731
    (whole, expected), (cut, found) = (gradient_of(text, size, still) for size in (11, 3))
    _, bare = gradient_of("", 11, still)
    torch.testing.assert_close(cut, whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert not all(torch.allclose(one, other) for one, other in zip(expected, bare, strict=True)), "the objective changed nothing"


@pytest.mark.parametrize("text", EVERY)
def test_a_run_killed_again_and_again_ends_bit_identical(tmp_path, monkeypatch, text):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "COST_LIMIT", float("inf"))
    whole, _ = fitted(tmp_path / "whole", text)
    again, kills = None, 0
    while again is None:
        try:
            again, _ = fitted(tmp_path / "killed", text, observer=KillAfter(2), resume=True)
        except Killed:
            kills += 1
    assert kills >= 2
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize("text", ["distill(teacher=old)", "l2_sp"])
def test_cached_and_live_runs_end_alike(tmp_path, text):
    ends = []
    for cache in (None, Cache(tmp_path / "cache", 1 << 28)):
        network = text_network(dropout=0.0)
        grid = [phase("top", [False, False, True, True, True])]
        chosen = replace(plan(network, grid, epochs=3.0), objectives=parse(text))
        history = fit(
            network, chosen, TEXT, {"train": texts(N), "valid": None, "asked": ASKED}, folder=tmp_path / str(len(ends)), cache=cache
        )
        ends.append((network, history.phases[0].cached))
    (live, not_cached), (read_back, cached) = ends
    assert (not_cached, cached) == (False, True)
    torch.testing.assert_close(weights(live), weights(read_back), rtol=1e-4, atol=1e-5)


def test_images_and_mixed_precision_settings_take_objectives_too(tmp_path):
    _, history = fitted(tmp_path, "l2_sp", make=image_network, task=IMAGE, train=images, augment=(("mixup", 0.4),), accumulate=2)
    assert history.steps and all(np.isfinite(record.loss) for record in history.steps)


def quadratic(logits, targets, *, scale: float = 1.0):
    return scale * (logits - nn.functional.one_hot(targets, logits.shape[1])).square().sum(1)


def test_a_loss_of_ones_own_takes_the_tasks_place():
    value, _ = gradient_of(quadratic, 11)
    typed, _ = gradient_of(f"module:{__name__}.quadratic(scale=2)", 11)
    lambda_, _ = gradient_of(lambda logits, targets: quadratic(logits, targets), 11)
    assert str(read(quadratic)[0]) == f"module:{__name__}.quadratic"
    torch.testing.assert_close(typed, 2 * value)
    torch.testing.assert_close(lambda_, value, rtol=1e-5, atol=1e-6)


def test_torchs_own_loss_may_be_handed_over():
    value, _ = gradient_of(nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1), 11)
    expected, _ = gradient_of("", 11, label_smoothing=0.1)
    assert torch.equal(value, expected)


def test_a_loss_that_takes_the_mean_itself_is_refused():
    with pytest.raises(PlanError, match=r"the loss CrossEntropyLoss of 11 examples\nfound: it returns \(\)\ntry:   a tensor \(11,\)"):
        gradient_of(nn.CrossEntropyLoss(), 11)


def test_what_a_function_is_called_tells_it_from_others():
    one, two = read(lambda logits, targets: logits.sum(1)), read(lambda logits, targets: logits.mean(1))
    assert one != two and one == read(lambda logits, targets: logits.sum(1))
    assert read([Objective("l2_sp"), "distill(teacher=old)"]) == parse("l2_sp+distill(teacher=old)")
    assert read(None) == ()


@pytest.mark.parametrize(
    "text, found, advice",
    [
        ("l2_spp", "no objective of that name", "did you mean 'l2_sp'.*or module:package.function, a loss of your own"),
        ("l2_sp(strenght=1)", "l2_sp has no such option", "did you mean 'strength'"),
        ("l2_sp(strength=hot)", "strength is a number", r"l2_sp\(strength=...\)"),
        ("l2_sp(strength=-1)", "a strength is not negative", r"l2_sp\(strength=...\)"),
        ("l2_sp(anchor_head=3)", "anchor_head is True or False", r"l2_sp\(anchor_head=...\)"),
        ("distill(temperature=0)", "a temperature is above 0", r"distill\(temperature=...\)"),
        ("distill(teacher=3)", "teacher is a name", r"distill\(teacher=...\)"),
        ("module:not_there.loss", "No module named 'not_there'", "module:PACKAGE.FUNCTION"),
        ("module:my_losses.focall", "'my_losses' has no function 'focall'", "did you mean 'focal'"),
    ],
)
def test_a_wrong_name_or_option_is_answered_with_the_nearest(monkeypatch, text, found, advice):
    made = ModuleType("my_losses")
    made.focal = lambda logits, targets: logits.sum(1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_losses", made)
    with pytest.raises(PlanError, match=f"found: {found}\ntry:   {advice}"):
        check(read(text))


def test_what_was_not_handed_over_is_named(tmp_path):
    with pytest.raises(PlanError, match="train with logits of 'nobody'\nfound: they were not handed to the run"):
        fitted(tmp_path, "distill(teacher=nobody)")


def test_answers_for_other_rows_are_refused(tmp_path):
    with pytest.raises(PlanError, match="24 answers for 30 training examples"):
        fitted(tmp_path, "distill(teacher=old)", n=30)


def test_a_teacher_does_not_answer_mixed_examples(tmp_path):
    with pytest.raises(PlanError, match="distill with mixup\nfound: the teacher has not seen mixed examples"):
        fitted(tmp_path, "distill(teacher=old)", make=image_network, task=IMAGE, train=images, augment=(("mixup", 0.4),))
