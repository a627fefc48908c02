"""``l2_sp`` against its definition: half the squared distance from the start, and half the square of a fresh head."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_objective_seam import gradient_of
from train_hosts import TEXT, Cell, full, phase, plan, text_network, texts, weights

from regraft.plan.objective import parse
from regraft.surgery.specs import Lora
from regraft.train import checkpoint
from regraft.train.fit import fit
from regraft.train.objectives.strength import Strength


def test_the_penalty_and_its_gradient_are_those_of_the_paper():
    """``gradient_of`` moves every weight by 0.01 from its start."""
    bare, without = gradient_of("", 11)
    value, with_it = gradient_of("l2_sp(strength=0.5, head=2.0)", 11)
    start = text_network()
    head = sum((p + 0.01).square().sum() for p in start.head.parameters())
    count = sum(p.numel() for p in start.host.parameters())
    torch.testing.assert_close(value - bare, 0.25 * count * 0.01**2 + head.detach(), rtol=1e-3, atol=1e-5)
    gains = [a - b for a, b in zip(with_it, without, strict=True)]
    inside = list(start.host.parameters())
    for gain in gains[: len(inside)]:
        torch.testing.assert_close(gain, torch.full_like(gain, 0.5 * 0.01), rtol=0, atol=1e-6)
    for gain, parameter in zip(gains[len(inside) :], start.head.parameters(), strict=True):
        torch.testing.assert_close(gain, 2.0 * (parameter.detach() + 0.01), rtol=1e-4, atol=1e-5)


def test_an_anchored_head_is_held_where_it_starts():
    bare, _ = gradient_of("", 11)
    value, _ = gradient_of("l2_sp(strength=1.0, anchor_head=True)", 11)
    count = sum(p.numel() for p in text_network().parameters())
    torch.testing.assert_close(value - bare, torch.tensor(0.5 * count * 0.01**2), rtol=1e-2, atol=1e-5)


def distance(folder, strength):
    network = text_network()
    start = weights(network)
    chosen = replace(full(network, epochs=3.0), objectives=parse(f"l2_sp(strength={strength}, head=0)"))
    fit(network, chosen, TEXT, {"train": texts(24), "valid": None}, folder=folder)
    return sum(float((tensor - start[name]).square().sum()) for name, tensor in weights(network).items() if name.startswith("host"))


def test_the_stronger_it_is_the_nearer_the_weights_stay(tmp_path):
    free, weak, strong = (distance(tmp_path / str(s), s) for s in (0.0, 0.1, 10.0))
    assert strong < 0.5 * weak < 0.5 * free


def test_what_an_edit_adds_is_free(tmp_path):
    network = text_network()
    lora = Cell(trainable=True, only="edit", edit=Lora(rank=2, where="linear"))
    grid = [phase("lora", [False, False, lora, lora, True])]
    chosen = replace(plan(network, grid), objectives=parse("l2_sp(strength=5.0)"))
    history = fit(network, chosen, TEXT, {"train": texts(24), "valid": None}, folder=tmp_path)
    assert [edit["stage"] for edit in history.edits] == ["blocks.1", "blocks.2"]


def strengths(folder, text, **settings):
    """The factors of the strength after each epoch of a run, from its last state."""
    network = text_network()
    chosen = replace(full(network, epochs=4.0, **settings), objectives=parse(text))
    seen = []

    class Watching:
        def on_phase(self, start): ...

        def on_step(self, record): ...

        def on_epoch(self, record):
            seen.append(dict(torch.load(folder / "last.pt", weights_only=True)["terms"][0]["factors"]))

    fit(network, chosen, TEXT, {"train": texts(24), "valid": texts(12, seed=1)}, folder=folder, observer=Watching())
    return seen


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "COST_LIMIT", float("inf"))
    monkeypatch.setattr(checkpoint, "GOOD_STEPS", 10**6)


def test_drift_leads_the_strength_stage_by_stage(tmp_path, every_step):
    far = strengths(tmp_path / "far", "l2_sp(strength=0.001, adapt=drift, target=1e-6)", lr=1e-3)
    near = strengths(tmp_path / "near", "l2_sp(strength=0.001, adapt=drift, target=10)", lr=1e-3)
    assert set(far[-1]) == {0, 1, 2, 3}, "one factor for each stage, none for the fresh head"
    assert all(factor == 2.0 ** (len(far)) for factor in far[-1].values())
    assert all(factor == 0.5 ** (len(near)) for factor in near[-1].values())


def test_the_gap_of_train_and_valid_leads_all_stages(tmp_path, every_step):
    wide = strengths(tmp_path / "wide", "l2_sp(strength=0.001, adapt=gap, target=50)")
    assert set(wide[-1].values()) == {0.5 ** len(wide)}


def test_a_strength_is_bounded():
    held = Strength("drift", 1e-9, {}, {})
    assert held.factors == {}
    parameter = torch.nn.Parameter(torch.ones(2))
    held = Strength("drift", 1e-9, {parameter: torch.zeros(2) + 0.5}, {parameter: 3})
    for _ in range(20):
        held.after_epoch(None, None)
    assert held.factors == {3: 100.0}
