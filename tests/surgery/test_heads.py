"""Heads: pooling over masks, initialisation, and taking a host's own classifier off and on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.errors import TrunkError
from regraft.spec import InputSpec
from regraft.surgery.heads import LinearHead, strip
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk, check_cover

FEATURES = torch.arange(24.0).reshape(2, 4, 3)
RIGHT = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
LEFT = RIGHT.flip(1)


def test_mean_counts_unmasked_places_only():
    pooled = LinearHead(3, 2, "mean").pool(FEATURES, RIGHT)
    assert torch.equal(pooled, torch.stack([FEATURES[0, :3].mean(0), FEATURES[1, 0]]))


@pytest.mark.parametrize(("mask", "first", "last"), [(RIGHT, (0, 0), (2, 0)), (LEFT, (1, 3), (3, 3)), (None, (0, 0), (3, 3))])
def test_first_and_last_follow_the_padding_side(mask, first, last):
    for pooling, places in (("first", first), ("last", last)):
        pooled = LinearHead(3, 2, pooling).pool(FEATURES, mask)
        assert torch.equal(pooled, torch.stack([FEATURES[row, place] for row, place in enumerate(places)]))


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_a_row_without_tokens_gives_no_nan(pooling):
    empty = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]])
    assert LinearHead(3, 2, pooling)(FEATURES, empty).isfinite().all()


def test_values_under_the_mask_do_not_count_even_as_nan():
    features = FEATURES.clone()
    features[1] = torch.nan
    pooled = LinearHead(3, 2, "mean").pool(features, torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]]))
    assert torch.equal(pooled[1], torch.zeros(3))


def test_a_mask_of_samples_is_read_as_one_of_frames():
    samples = torch.tensor([[1] * 40, [1] * 20 + [0] * 20])
    pooled = LinearHead(3, 2, "mean").pool(FEATURES, samples)
    assert torch.equal(pooled, torch.stack([FEATURES[0].mean(0), FEATURES[1, :2].mean(0)]))


def test_pooled_features_pass_through():
    assert LinearHead(3, 5)(torch.ones(2, 3)).shape == (2, 5)


def test_the_start_is_small_and_follows_the_generator():
    heads = [LinearHead(64, 10, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(heads[0].linear.weight, heads[1].linear.weight)
    assert not torch.equal(heads[0].linear.weight, heads[2].linear.weight)
    assert 0 < heads[0].linear.weight.abs().max() < 0.1
    assert torch.equal(heads[0].linear.bias, torch.zeros(10))


def test_an_unknown_pooling_is_refused():
    with pytest.raises(TrunkError, match=r"did you mean 'mean'"):
        LinearHead(3, 2, "means")


def classifier() -> Trunk:
    host = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 9))
    return Trunk(host=host, stages=(Stage("stem", ("0", "1")),), head_paths=("2",), input=InputSpec(kind="tensor"), width=3)


def test_strip_ends_the_host_in_its_features_and_restores():
    trunk, x = classifier(), torch.ones(1, 4)
    logits, own = trunk.features({"input": x}), trunk.host[2]
    stripped = strip(trunk)
    assert torch.equal(trunk.features({"input": x}), trunk.host[1](trunk.host[0](x)))
    check_cover(trunk)
    stripped.restore(trunk)
    assert trunk.host[2] is own
    assert torch.equal(trunk.features({"input": x}), logits)
