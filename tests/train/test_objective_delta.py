"""``delta``: the distance of the features by hand, attention against leaving channels out, and where there is nothing to hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from train_hosts import IMAGE, TEXT, full, image_network, images, phase, plan, same, text_network, texts, weights

from regraft import tasks
from regraft.cache import Cache
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.surgery.heads import LinearHead
from regraft.testing.hosts import trunk_of
from regraft.train.feed import LiveFeed
from regraft.train.fit import fit
from regraft.train.objective import Start
from regraft.train.objectives.channel_attention import attention_of, channel_attention, importance
from regraft.train.objectives.delta import last_of_each_size
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.train.terms import Terms, tapped
from regraft.trunk.network import Network

N = 24


def begun(network, chosen, text):
    run = Run.of(network, replace(chosen, objectives=parse(text)), TEXT)
    split = texts(N)
    run.terms = Terms.begin(run, split, {})
    run.enter(4)
    return run, LiveFeed(network=network, encoded=split, device=run.device)


def outputs_of(network, inputs):
    with torch.no_grad(), tapped(network, network.trunk.stage_names) as found:
        network(inputs)
    return found


def moved(network):
    """Its weights a little elsewhere."""
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.host.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draws))


def cost_of(text, *, cells=None, size=8):
    """What ``text`` adds to the loss of eight examples after the weights have moved, and the features then and at the start."""
    network = text_network(dropout=0.0)
    inputs = texts(N).batch(range(8))
    before = outputs_of(network.eval(), inputs)
    chosen = full(network) if cells is None else plan(network, [phase("top", cells)])
    run, feed = begun(network, chosen, text)
    bare = Run.of(network, chosen, TEXT)
    moved(network)
    found = gradients(run, feed, feed.parts(np.arange(8), size=size, seed=0, epoch=0), count=8)
    bare.enter(4)
    plain = gradients(bare, feed, feed.parts(np.arange(8), size=8, seed=0, epoch=0), count=8)
    return found - plain, before, outputs_of(network.eval(), inputs), inputs["attention_mask"], run


def by_hand(before, after, mask, stages, weight):
    """For each example and stage the sum over channels of their weight times the mean square over the tokens that are none of padding."""
    total = 0.0
    for stage in stages:
        for example in range(len(mask)):
            tokens = mask[example].bool()
            squares = (after[stage][example, tokens] - before[stage][example, tokens]).square().mean(0)
            total += float((squares * weight(stage)).sum())
    return total / len(mask)


@pytest.mark.parametrize("size", [8, 3])
def test_without_attention_it_is_the_mean_square_distance_of_the_features(size):
    found, before, after, mask, _ = cost_of("delta(strength=0.5, head=0, attention=none, stages=[blocks.0, blocks.2])", size=size)
    wanted = 0.5 / 2 * by_hand(before, after, mask, ["blocks.0", "blocks.2"], lambda stage: 1.0)
    assert found.item() == pytest.approx(wanted, rel=1e-4)


def test_attention_weighs_the_channels_and_the_head_is_pulled_to_zero():
    found, before, after, mask, run = cost_of("delta(strength=0.5, head=0.3, stages=[blocks.1])")
    network = text_network(dropout=0.0).eval()
    (term,) = run.terms.terms
    attention = term.shares.__self__.attention["blocks.1"]
    assert attention.mean().item() == pytest.approx(1.0) and attention.std() > 0
    head = sum(p.square().sum() for p in network.head.parameters()).item()
    wanted = 0.5 / 2 * by_hand(before, after, mask, ["blocks.1"], lambda stage: attention) + 0.3 / 2 * head
    assert found.item() == pytest.approx(wanted, rel=1e-4)


def test_a_stage_below_the_boundary_costs_nothing():
    text = "delta(strength=0.5, head=0, attention=none, stages=[blocks.0, blocks.2])"
    found, before, after, mask, _ = cost_of(text, cells=[False, False, False, True, True])
    assert found.item() == pytest.approx(0.5 / 2 * by_hand(before, after, mask, ["blocks.2"], lambda stage: 1.0), rel=1e-4)


def without(network, stage, channel, inputs):
    """Logits with what leaves ``stage`` in ``channel`` set to zero."""

    def leave_out(module, args, output):
        changed = output.clone()
        changed[..., channel] = 0.0
        return changed

    handle = network.stage_modules(network.stage_names.index(stage))[-1].register_forward_hook(leave_out)
    try:
        with torch.no_grad():
            return network(inputs)
    finally:
        handle.remove()


def test_where_the_loss_is_linear_importance_is_what_leaving_a_channel_out_costs():
    network, split = text_network(dropout=0.0).eval(), texts(N)
    first = lambda logits, targets: logits[:, 0]  # noqa: E731
    found = importance(network, split, np.arange(N), ["blocks.2"], first)["blocks.2"]
    inputs = split.batch(range(N))
    whole = network(inputs)[:, 0].mean()
    exact = torch.stack([without(network, "blocks.2", channel, inputs)[:, 0].mean() - whole for channel in range(16)])
    torch.testing.assert_close(found.float(), exact.detach(), rtol=1e-4, atol=1e-6)


def test_elsewhere_it_ranks_channels_nearly_as_leaving_them_out_does():
    network, split = text_network(dropout=0.0).eval(), texts(48)
    with torch.no_grad():
        network.head.linear.weight.mul_(20)
    losses = lambda logits, targets: torch.nn.functional.cross_entropy(logits, targets, reduction="none")  # noqa: E731
    found = importance(network, split, np.arange(48), ["blocks.1"], losses)["blocks.1"]
    inputs, targets = split.batch(range(48)), torch.from_numpy(split.targets)
    whole = losses(network(inputs), targets).mean()
    exact = torch.stack([losses(without(network, "blocks.1", channel, inputs), targets).mean() - whole for channel in range(16)]).detach()
    assert torch.corrcoef(torch.stack([found, exact.double()]))[0, 1] > 0.8


def test_attention_is_a_softmax_of_the_standardised_importances():
    weights = attention_of(torch.tensor([1.0, 3.0], dtype=torch.float64))  # standardised: -1 and 1
    high, low = np.exp(1 / 5), np.exp(-1 / 5)
    torch.testing.assert_close(weights, 2 * torch.tensor([low, high], dtype=torch.float32) / (low + high))
    torch.testing.assert_close(attention_of(torch.full((4,), 2.0, dtype=torch.float64)), torch.ones(4))


def test_maps_are_held_by_channel():
    network, split = image_network().eval(), images(N)
    losses = lambda logits, targets: torch.nn.functional.cross_entropy(logits, targets, reduction="none")  # noqa: E731
    found = channel_attention(network, split, np.arange(N), ["stem", "body"], losses)
    assert {name: tuple(one.shape) for name, one in found.items()} == {"stem": (8,), "body": (8,)}


def test_the_last_stage_of_each_size_is_held():
    trunk = trunk_of("timm resnet10t")
    network, split = Network(trunk, LinearHead(trunk.width, 3, trunk.pooling)), images(4)
    split.array = np.zeros((4, 3, *trunk.input.size), np.uint8)
    start = Start(network=network, plan=full(network), task=IMAGE, train=split, device=torch.device("cpu"), asked={})
    assert last_of_each_size(start)[-4:] == ("blocks.0", "blocks.1", "blocks.2", "blocks.3")
    assert network.training  # as it was


def test_from_the_cache_the_start_is_run_from_the_boundary_up(tmp_path):
    """Maps of images, whose pixels are not read again."""
    ends = []
    for cache in (None, Cache(tmp_path / "cache", 1 << 26)):
        network = image_network()
        chosen = replace(plan(network, [phase("top", [False, True, True])], epochs=4.0), objectives=parse("delta(strength=2)"))
        history = fit(network, chosen, IMAGE, {"train": images(N), "valid": None}, folder=tmp_path / f"{cache is None}", cache=cache)
        assert history.phases[0].cached is (cache is not None)
        ends.append(weights(network))
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], rtol=1e-4, atol=1e-5)


def held(folder, text):
    """How far the features of the last block have gone, after training."""
    network, split = text_network(dropout=0.0), texts(N)
    before = outputs_of(network.eval(), split.batch(range(N)))["blocks.2"]
    chosen = replace(full(network, epochs=3.0, weight_decay=0.0), objectives=parse(text))
    fit(network, chosen, TEXT, {"train": split, "valid": None}, folder=folder)
    return (outputs_of(network.eval(), split.batch(range(N)))["blocks.2"] - before).square().mean().item()


def test_it_holds_the_features_near_the_start(tmp_path):
    assert held(tmp_path / "held", "delta(strength=5)") < 0.5 * held(tmp_path / "free", "")


def test_beginning_leaves_the_network_as_it_was():
    network = text_network()
    start, flags = weights(network), [p.requires_grad for p in network.parameters()]
    run = Run.of(network, replace(full(network), objectives=parse("delta")), TEXT)
    Terms.begin(run, texts(N), {})
    assert same(weights(network), start) and [p.requires_grad for p in network.parameters()] == flags
    assert all(p.grad is None for p in network.parameters()) and network.training


def refused(network, chosen, text="delta", task=TEXT):
    run = Run.of(network, replace(chosen, objectives=parse(text)), task)
    with pytest.raises(PlanError) as caught:
        Terms.begin(run, texts(N), {})
    return str(caught.value)


def test_what_there_is_no_start_of_is_refused():
    network = text_network()
    assert "random weights" in refused(network, plan(network, [phase("all", [True] * 5, fresh=True)]))
    again = [phase("all", [True] * 5, epochs_fraction=0.5), phase("top", [False, False, False, True, True], epochs_fraction=0.5)]
    assert "stem is frozen in it and moved before" in refused(network, plan(network, again))
    assert "did you mean 'blocks.2'" in refused(network, full(network), "delta(stages=[block.2])")


def test_a_task_whose_head_is_not_solved_can_be_held_without_attention():
    network, unsolved = text_network(), replace(TEXT, solve=None)
    assert "delta(attention=none)" in refused(network, full(network), task=unsolved)
    run = Run.of(network, replace(full(network), objectives=parse("delta(attention=none)")), unsolved)
    assert Terms.begin(run, texts(N), {}).stages == ("blocks.2",)


def test_a_regression_can_be_held_too():
    network = text_network()
    network.head = LinearHead(16, 1, "mean")
    task = tasks.of("text-regression").bound({"mean": 0.0, "std": 1.0})
    split = texts(N)
    split.targets = split.targets.astype(np.float32)[:, None]
    run = Run.of(network, replace(full(network), objectives=parse("delta")), task)
    assert Terms.begin(run, split, {}).stages == ("blocks.2",)
