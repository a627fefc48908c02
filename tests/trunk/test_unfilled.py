"""A shell without numbers: nothing is drawn, and everything that is not random is there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.trunk.unfilled import Unfilled


def test_nothing_random_is_drawn():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with Unfilled():
        nn.Sequential(nn.Linear(8, 8), nn.Embedding(10, 4), nn.Conv2d(3, 4, 3), nn.GRU(4, 4))
        nn.init.trunc_normal_(nn.Parameter(torch.empty(4)), std=0.02)
        nn.init.normal_(tensor=nn.Parameter(torch.empty(4)))
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


def test_nothing_is_drawn_where_transformers_fills_weights_in_its_own_way():
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    before = torch.get_rng_state()
    with Unfilled():
        host = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8))
    assert torch.equal(torch.get_rng_state(), before)
    assert not host.embeddings.word_embeddings.weight.any()


def test_memory_may_be_left_as_it_was():
    weight = nn.Parameter(torch.full((4,), 7.0))
    with Unfilled(zeros=False):
        nn.init.normal_(weight)
    assert weight.tolist() == [7.0] * 4


@pytest.mark.timeout(20)
@pytest.mark.parametrize("bounds", [{"a": -2.0, "b": 2.0}, {"mean": 5.0, "a": 4.0, "b": 6.0}])
@pytest.mark.parametrize("zeros", [True, False])
def test_numbers_drawn_until_they_are_within_bounds_come_to_an_end(bounds, zeros):
    """Memory as it was, and zero, may lie outside for ever: torch draws a helper tensor anew for what does."""
    weight = nn.Parameter(torch.full((1000,), 7.0))
    with Unfilled(zeros=zeros):
        nn.init.trunc_normal_(weight, **bounds)
    assert ((weight >= bounds["a"]) & (weight <= bounds["b"])).all()
