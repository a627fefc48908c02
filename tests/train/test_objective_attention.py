"""``attention_distill``: the definition by hand, over tokens with padding and over maps of other sizes, stages that do not move, resumed and cached as live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_train_resume import KillAfter, Killed
from torch.nn import functional
from train_hosts import TEXT, block_outputs, full, phase, plan, same, text_network, texts, weights

from regraft.cache import Cache
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.train import checkpoint
from regraft.train.feed import LiveFeed
from regraft.train.fit import fit
from regraft.train.objective import Ask
from regraft.train.objectives.stage_output import PLACES, SIDE, places
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.train.terms import Terms

N = 24
PAIRS = "[blocks.0:low, blocks.2:high]"


def table() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    drawn = {name: rng.random((N, PLACES)).astype(np.float32) for name in ("low", "high")}
    return {name: one / np.linalg.norm(one, axis=1, keepdims=True) for name, one in drawn.items()}


def value_of(network, chosen, objective="", *, size=8):
    run, split = Run.of(network, replace(chosen, objectives=parse(objective)), TEXT), texts(N)
    run.terms = Terms.begin(run, split, {Ask("attention", "t", ("low", "high")): table()})
    run.enter(4)
    feed = LiveFeed(network=network, encoded=split, device=run.device)
    return gradients(run, feed, feed.parts(np.arange(8), size=size, seed=0, epoch=0), count=8)


def token_map(output, mask):
    """Row by row: the squares of the tokens that are there, averaged over 64 spans of them."""
    rows = []
    for one, here in zip(output, mask, strict=True):
        squares = one[here.bool()].square().mean(1)
        rows.append(functional.adaptive_avg_pool1d(squares[None, None], PLACES)[0, 0])
    return functional.normalize(torch.stack(rows), dim=1)


def by_hand(stages=((1, "low"), (3, "high"))):
    network, split = text_network(dropout=0.0).eval(), texts(N)
    inputs = split.batch(range(8))
    outputs = block_outputs(network, inputs)
    known = table()
    total = sum(
        (token_map(outputs[row], inputs["attention_mask"]) - torch.from_numpy(known[name][:8])).square().sum(1) for row, name in stages
    )
    return 0.5 / 2 * total.mean().detach()


@pytest.mark.parametrize("size", [8, 3])
def test_it_is_the_distance_between_where_two_stages_look(size):
    network, bare = text_network(dropout=0.0), text_network(dropout=0.0)
    found = value_of(network, full(network), f"attention_distill(teacher=t, pairs={PAIRS}, weight=0.5)", size=size) - value_of(
        bare, full(bare)
    )
    torch.testing.assert_close(found, by_hand(), rtol=1e-4, atol=1e-5)


def test_a_stage_below_the_boundary_costs_nothing():
    network, bare = text_network(dropout=0.0), text_network(dropout=0.0)
    grid = [phase("top", [False, False, False, True, True])]
    found = value_of(network, plan(network, grid), f"attention_distill(teacher=t, pairs={PAIRS}, weight=0.5)") - value_of(
        bare, plan(bare, grid)
    )
    torch.testing.assert_close(found, by_hand([(3, "high")]), rtol=1e-4, atol=1e-5)


def fitted(folder, grid=None, **facts):
    network = text_network(dropout=0.0)
    chosen = plan(network, grid, epochs=2.0) if grid else full(network, epochs=2.0)
    chosen = replace(chosen, objectives=parse(f"attention_distill(teacher=t, pairs={PAIRS})"))
    data = {"train": texts(N), "valid": None, "asked": {Ask("attention", "t", ("low", "high")): table()}}
    return network, fit(network, chosen, TEXT, data, folder=folder, **facts)


def test_a_run_killed_again_and_again_ends_bit_identical(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "COST_LIMIT", float("inf"))
    whole, again, kills = fitted(tmp_path / "whole")[0], None, 0
    while again is None:
        try:
            again, _ = fitted(tmp_path / "killed", observer=KillAfter(2), resume=True)
        except Killed:
            kills += 1
    assert kills >= 2 and same(weights(again), weights(whole))


def test_cached_it_ends_as_live(tmp_path):
    grid = [phase("top", [False, False, False, True, True])]
    live, _ = fitted(tmp_path / "live", grid)
    cached, history = fitted(tmp_path / "cached", grid, cache=Cache(tmp_path / "entries", 1 << 30))
    assert history.phases[0].cached
    for name, value in weights(live).items():
        torch.testing.assert_close(weights(cached)[name], value, rtol=1e-5, atol=1e-6)


def test_padding_on_either_side_is_not_looked_at():
    output = torch.randn(2, 5, 3)
    left, right = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    moved = torch.cat([output[:1].roll(-2, 1), output[1:]])
    torch.testing.assert_close(places(output, left), places(moved, right))
    torch.testing.assert_close(places(output, left), token_map(output, left))


@pytest.mark.parametrize("side", [4, 8, 14])
def test_a_map_of_any_size_is_brought_to_one_grid_wherever_its_channels_stand(side):
    output = torch.randn(2, 3, side, side)
    found = places(output, None)
    assert found.shape == (2, PLACES) and SIDE * SIDE == PLACES
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(places(output.permute(0, 2, 3, 1), None, map_axis=3), found)


def test_a_stage_without_places_is_refused():
    with pytest.raises(PlanError, match="what leaves it is one vector"):
        places(torch.randn(2, 3), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attention_distill(teacher=t)", "no pair of stages is given"),
        ("attention_distill(teacher=t, pairs=[blocks.0])", "a pair is of two stages"),
        ("attention_distill(teacher=t, pairs=[blocks.9:low, blocks.2:high])", r"no such stage\ntry:   did you mean 'blocks\.\d'"),
        ("attention_distill(teacher=t, pairs=[blocks.0:low], weight=0)", "a weight is above 0"),
    ],
)
def test_pairs_that_are_none_are_refused(text, message):
    network = text_network()
    with pytest.raises(PlanError, match=message):
        value_of(network, full(network), text)
