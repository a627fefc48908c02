"""``l2_sp`` against its definition: half the squared distance from the start, and half the square of a fresh head."""

from __future__ import annotations

from dataclasses import replace

import torch
from test_objective_seam import gradient_of
from train_hosts import TEXT, Cell, full, phase, plan, text_network, texts, weights

from regraft.plan.objective import parse
from regraft.surgery.specs import Lora
from regraft.train import fit


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
