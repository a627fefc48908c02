"""``feature_distill``: the definition by hand, maps that learn and survive a resume, and stages that do not move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_train_resume import KillAfter, Killed
from train_hosts import TEXT, block_outputs, full, phase, plan, same, text_network, texts, weights

from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.surgery.heads import LinearHead
from regraft.testing.hosts import trunk_of
from regraft.train import checkpoint
from regraft.train.feed import LiveFeed
from regraft.train.fit import fit
from regraft.train.objective import Ask
from regraft.train.objectives.stage_output import pooled
from regraft.train.run import Run
from regraft.train.step import gradients, update
from regraft.train.terms import Terms, tapped
from regraft.trunk.network import Network

N = 24
PAIRS = "[blocks.0:low, blocks.2:high]"


def tables(width: int) -> dict[Ask, dict[str, np.ndarray]]:
    rng = np.random.default_rng(4)
    return {Ask("features", "t", ("low", "high")): {name: rng.normal(size=(N, width)).astype(np.float32) for name in ("low", "high")}}


def begun(network, chosen, width):
    run = Run.of(network, replace(chosen, objectives=parse(f"feature_distill(teacher=t, pairs={PAIRS}, weight=0.5)")), TEXT)
    split = texts(N)
    run.terms = Terms.begin(run, split, tables(width))
    run.enter(4)
    return run, LiveFeed(network=network, encoded=split, device=run.device)


def value_of(network, chosen, *, size=8, width=16):
    run, feed = begun(network, chosen, width)
    return gradients(run, feed, feed.parts(np.arange(8), size=size, seed=0, epoch=0), count=8)


def by_hand(stages=((1, "low"), (3, "high"))):
    """Half the mean over pairs of the mean square between pooled outputs; rows 1 and 3 of the grid are blocks.0 and blocks.2."""
    network, split = text_network(dropout=0.0).eval(), texts(N)
    inputs = split.batch(range(8))
    outputs = block_outputs(network, inputs)
    (known,) = tables(16).values()
    total = sum(
        (pooled(outputs[row], inputs["attention_mask"]) - torch.from_numpy(known[name][:8])).square().mean(1) for row, name in stages
    )
    return 0.5 / 2 * total.mean().detach()


def plain(network, chosen):
    run = Run.of(network, chosen, TEXT)
    run.enter(4)
    split = texts(N)
    feed = LiveFeed(network=network, encoded=split, device=run.device)
    return gradients(run, feed, feed.parts(np.arange(8), size=8, seed=0, epoch=0), count=8)


@pytest.mark.parametrize("size", [8, 3])
def test_it_is_the_mean_square_between_pooled_outputs(size):
    still = text_network(dropout=0.0)
    bare = text_network(dropout=0.0)
    torch.testing.assert_close(value_of(still, full(still), size=size) - plain(bare, full(bare)), by_hand(), rtol=1e-4, atol=1e-5)


def test_a_stage_below_the_boundary_costs_nothing():
    still, bare = text_network(dropout=0.0), text_network(dropout=0.0)
    grid = [phase("top", [False, False, False, True, True])]
    found = value_of(still, plan(still, grid)) - plain(bare, plan(bare, grid))
    torch.testing.assert_close(found, by_hand([(3, "high")]), rtol=1e-4, atol=1e-5)


def test_where_widths_differ_a_map_is_learned_beside_the_network(tmp_path):
    network = text_network(dropout=0.0)
    run, feed = begun(network, full(network, lr=1e-9), 5)
    values = []
    for step in range(30):
        run.step = step
        values.append(gradients(run, feed, feed.parts(np.arange(8), size=8, seed=0, epoch=0), count=8).item())
        update(run, 1e-9)
    (state,) = run.terms.state()
    assert {index: tuple(one.shape) for index, one in state["maps"].items()} == {0: (5, 16), 1: (5, 16)}
    assert values[-1] < values[0]


@pytest.mark.parametrize(
    ("host", "places", "widths"),
    [("timm swin", (1, 2), [96, 96, 192, 384, 384, 768, 768]), ("timm convnext_atto", (2, 3), [40, 40, 40, 80, 80])],
)
def test_a_map_is_pooled_over_its_places_wherever_its_channels_stand(host, places, widths):
    trunk = trunk_of(host)
    network, size = Network(trunk, LinearHead(trunk.width, 3, trunk.pooling)).eval(), trunk.input.size
    with torch.no_grad(), tapped(network, trunk.stage_names) as found:
        network({"image": torch.randn(2, 3, *size)})
    maps = [output for output in found.values() if output.ndim == 4]
    vectors = [pooled(one, None, map_axis=trunk.map_axis) for one in maps]
    assert [vector.shape[1] for vector in vectors][: len(widths)] == widths
    for vector, one in zip(vectors, maps, strict=True):
        torch.testing.assert_close(vector, one.mean(places))


def test_a_run_with_maps_killed_again_and_again_ends_bit_identical(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "COST_LIMIT", float("inf"))

    def fitted(folder, **facts):
        network = text_network()
        chosen = replace(full(network, epochs=2.0), objectives=parse(f"feature_distill(teacher=t, pairs={PAIRS})"))
        fit(network, chosen, TEXT, {"train": texts(N), "valid": None, "asked": tables(5)}, folder=folder, **facts)
        return network

    whole, again, kills = fitted(tmp_path / "whole"), None, 0
    while again is None:
        try:
            again = fitted(tmp_path / "killed", observer=KillAfter(2), resume=True)
        except Killed:
            kills += 1
    assert kills >= 2 and same(weights(again), weights(whole))


@pytest.mark.parametrize(
    "text, message",
    [
        ("feature_distill(teacher=t)", "no pair of stages is given"),
        ("feature_distill(teacher=t, pairs=[blocks.0])", "a pair is of two stages"),
        ("feature_distill(teacher=t, pairs=[blocks.9:low])", r"no such stage\ntry:   did you mean 'blocks\.\d'"),
    ],
)
def test_pairs_that_are_none_are_refused(text, message):
    network = text_network()
    run = Run.of(network, replace(full(network), objectives=parse(text)), TEXT)
    with pytest.raises(PlanError, match=message):
        Terms.begin(run, texts(N), {Ask("features", "t", ("low",)): {"low": np.zeros((N, 16), np.float32)}})
