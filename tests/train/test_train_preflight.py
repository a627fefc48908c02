"""Preflight finds each fault, names its stage, and leaves no trace. The range test leaves none either."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from train_hosts import IMAGE, TEXT, full, image_network, images, phase, plan, same, text_network, texts, weights

from regraft.errors import PreflightError
from regraft.plan.cell import Cell
from regraft.surgery.specs import Adapter, Lora
from regraft.train import lr_range, preflight

LORA = Cell(trainable=True, only="edit", edit=Lora(rank=2))


def check(network, cells, task=TEXT, data=None, **settings):
    preflight.check(network, plan(network, [phase("one", cells)], **settings), task, {"train": data or texts(20)})


@pytest.mark.parametrize(
    "cells",
    [
        [True] * 5,
        [False] * 4 + [True],
        [False, False, LORA, LORA, True],
        [False, False, Cell(trainable=True, only="edit", edit=Adapter(width=4)), True, True],
        [Cell(trainable=True, only="bias")] * 4 + [True],
    ],
    ids=["full", "probe", "lora", "adapter", "bias"],
)
def test_a_sound_plan_passes_and_leaves_no_trace(cells):
    network = text_network().eval()
    network.host.requires_grad_(False)
    before, modules = weights(network), [type(m).__name__ for m in network.modules()]
    torch.manual_seed(3)
    random = torch.get_rng_state()
    check(network, cells)
    assert same(weights(network), before) and [type(m).__name__ for m in network.modules()] == modules
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(m.training for m in network.modules())
    assert all(p.grad is None for p in network.parameters())
    assert [n for n, p in network.named_parameters() if p.requires_grad] == ["head.linear.weight", "head.linear.bias"]


def test_batch_norm_is_restored_too():
    network = image_network()
    before = weights(network)
    check(network, [True, True, True], task=IMAGE, data=images(12))
    assert same(weights(network), before)


def test_a_stage_that_no_gradient_reaches_is_named():
    network = text_network()
    network.host.blocks[1].register_forward_hook(lambda module, args, output: args[0])
    with pytest.raises(PreflightError, match=r"stage 'blocks.1' in phase 'one'\nfound: no gradient reaches it"):
        check(network, [True] * 5)


def test_a_frozen_stage_that_changes_is_named():
    network = image_network()

    def drift(module, args):
        with torch.no_grad():
            module[1].running_mean.add_(1.0)

    network.host.stem.register_forward_pre_hook(drift)
    with pytest.raises(PreflightError, match=r"stage 'stem' in phase 'one'\nfound: it is frozen and changed in a step"):
        check(network, [False, True, True], task=IMAGE, data=images(12))


def test_a_stage_that_cannot_move_is_named():
    with pytest.raises(
        PreflightError, match=r"stage 'stem' in phase 'one'\nfound: it did not move in two steps at rate 0\ntry:   a higher --lr"
    ):
        check(text_network(), [Cell(trainable=True, lr_scale=0.0), True, True, True, True], weight_decay=0.0)


def test_state_that_no_checkpoint_can_hold_is_found():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * (1.0 + 0.1 * self.calls)

    network = text_network()
    network.host.blocks[1].dropout = Counting()
    with pytest.raises(PreflightError, match="saved and loaded, its logits differ by"):
        check(network, [False, False, True, True, True])


def test_random_numbers_that_the_seed_does_not_reach_are_found():
    import random

    class Own(nn.Module):
        def forward(self, x):
            return x * (0.5 + random.random()) if self.training else x

    network = text_network()
    network.host.blocks[1].dropout = Own()
    with pytest.raises(PreflightError, match="two steps after a resume differ from two steps without"):
        check(network, [False, False, True, True, True])


def test_every_gradient_phase_is_checked_on_the_model_as_it_came():
    network = text_network()
    network.host.blocks[0].register_forward_hook(lambda module, args, output: args[0])
    phases = [phase("top", [False, False, False, LORA, True]), phase("all", [False, True, LORA, LORA, True])]
    before = weights(network)
    with pytest.raises(PreflightError, match=r"stage 'blocks\.0' in phase 'all'"):
        preflight.check(network, plan(network, phases), TEXT, {"train": texts(20)})
    assert same(weights(network), before)


def test_the_range_test_suggests_a_rate_that_trains_and_leaves_no_trace():
    network = text_network()
    before = weights(network)
    torch.manual_seed(3)
    random = torch.get_rng_state()
    found = lr_range.find(network, full(network), TEXT, {"train": texts(60)})
    rates = [rate for rate, _ in found.curve]
    assert rates == sorted(rates) and rates[0] == pytest.approx(1e-6)
    assert 1e-4 < found.suggested < 0.1
    assert same(weights(network), before) and torch.equal(torch.get_rng_state(), random)
