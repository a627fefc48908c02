"""Gradient checkpointing changes what is held, never what is computed."""

from __future__ import annotations

import sys

import pytest
import torch
from train_hosts import IMAGE, TEXT, full, image_network, images, phase, plan, same, text_network, texts, weights

from regraft.cache import Cache
from regraft.errors import OutOfMemory
from regraft.train import step
from regraft.train.fit import fit
from regraft.train.recompute import recomputing


def text_case():
    return text_network(), TEXT, texts(24)


def image_case():
    return image_network(), IMAGE, images(24)


@pytest.mark.parametrize("case", [text_case, image_case])
def test_weights_and_statistics_end_bit_for_bit_the_same(tmp_path, case):
    ends = []
    for on in (False, True):
        network, task, train = case()
        fit(network, full(network, gradient_checkpointing=on), task, {"train": train, "valid": None}, folder=tmp_path / str(on))
        ends.append(weights(network))
    assert same(*ends)


def test_it_works_above_a_cached_boundary(tmp_path):
    ends = []
    for on in (False, True):
        network = text_network()
        chosen = plan(network, [phase("top", [False, False, True, True, True])], gradient_checkpointing=on)
        data, cache = {"train": texts(24), "valid": None}, Cache(tmp_path / f"cache{on}", 1 << 30)
        history = fit(network, chosen, TEXT, data, folder=tmp_path / str(on), cache=cache)
        assert history.phases[0].cached
        ends.append(weights(network))
    assert same(*ends)


def test_less_is_held_for_the_backward_pass():
    network = text_network(blocks=3).train()
    inputs = texts(24).batch(range(24))

    def held(boundary=None):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor):
            if boundary is None:
                network(inputs)
            else:
                with recomputing(network, boundary):
                    network(inputs)
        return sum(sizes)

    assert held(boundary=0) < 0.3 * held()
    assert held(boundary=0) < held(boundary=3) < held()
    assert "forward" not in network.host.blocks[0].__dict__


def test_one_example_too_many_turns_it_on_and_the_run_says_so(tmp_path, monkeypatch):
    made = step.gradients

    def tight(run, *args, **options):
        if not run.recomputes:
            raise torch.OutOfMemoryError("out of memory")
        return made(run, *args, **options)

    network = text_network()
    monkeypatch.setattr(sys.modules["regraft.train.fit"].preflight, "check", lambda *args, **options: None)
    monkeypatch.setattr(step, "gradients", tight)
    history = fit(network, full(network, batch_size=4), TEXT, {"train": texts(16), "valid": None}, folder=tmp_path)
    assert history.events[-1].endswith("1 examples at once and gradient checkpointing from here on") and len(history.events) == 3


def test_where_that_does_not_help_either_it_gives_up(tmp_path, monkeypatch):
    def too_tight(run, *args, **options):
        raise torch.OutOfMemoryError("out of memory")

    network = text_network()
    monkeypatch.setattr(sys.modules["regraft.train.fit"].preflight, "check", lambda *args, **options: None)
    monkeypatch.setattr(step, "gradients", too_tight)
    with pytest.raises(OutOfMemory, match="not enough memory for 1 example at once"):
        fit(network, full(network, batch_size=4), TEXT, {"train": texts(16), "valid": None}, folder=tmp_path)
