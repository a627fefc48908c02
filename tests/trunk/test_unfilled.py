"""A shell without numbers: nothing is drawn, and everything that is not random is there."""

from __future__ import annotations

import torch
from torch import nn

from regraft.trunk.unfilled import Unfilled


def test_nothing_random_is_drawn():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with Unfilled():
        nn.Sequential(nn.Linear(8, 8), nn.Embedding(10, 4), nn.Conv2d(3, 4, 3), nn.GRU(4, 4))
        nn.init.trunc_normal_(torch.empty(4), std=0.02)
        nn.init.normal_(tensor=torch.empty(4))
    assert torch.equal(torch.get_rng_state(), before)
    assert nn.Linear(8, 8).weight.abs().max() < 1 and not torch.equal(torch.get_rng_state(), before), "outside it is as ever"


def test_what_would_be_random_is_zero():
    with Unfilled():
        layer = nn.Linear(64, 64)
    assert not layer.weight.any() and not layer.bias.any() and layer.weight.requires_grad


def test_what_is_not_random_is_as_ever():
    with Unfilled():
        norm, values = nn.LayerNorm(4), torch.arange(3) + 1
    assert norm.weight.tolist() == [1.0] * 4 and norm.bias.tolist() == [0.0] * 4 and values.tolist() == [1, 2, 3]
