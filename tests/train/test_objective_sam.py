"""``sam``: the gradient at the climbed point, everything else left as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_objective_seam import N, gradient_of
from train_hosts import IMAGE, TEXT, full, image_network, images, text_network, texts

from regraft.plan.objective import parse
from regraft.train.feed import LiveFeed
from regraft.train.run import Run
from regraft.train.step import gradients
from regraft.train.terms import Terms


def started(network, split, task, text, **settings):
    run = Run.of(network, replace(full(network, **settings), objectives=parse(text)), task)
    run.terms = Terms.begin(run, split, {})
    run.enter(4)
    feed = LiveFeed(network=network, encoded=split, device=run.device)
    return run, feed


def test_it_is_the_gradient_at_the_climbed_point():
    rho = 0.1
    value, found = gradient_of(f"sam(rho={rho})", 11)
    plain, at_start = gradient_of("", 11)
    norm = torch.stack([g.norm() for g in at_start]).norm()

    def climbed():
        network = text_network()
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), at_start, strict=True):
                parameter += rho * gradient / norm
        return network

    _, expected = gradient_of("", 11, climbed)
    assert torch.equal(value, plain)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(torch.cat([g.flatten() for g in found]), torch.cat([g.flatten() for g in at_start]), rtol=1e-2)


def test_weights_are_where_they_were_to_the_bit():
    run, feed = started(text_network(), texts(N), TEXT, "sam(rho=0.5)")
    before = [p.detach().clone() for p in run.parameters]
    gradients(run, feed, feed.parts(np.arange(8), size=8, seed=0, epoch=0), count=8)
    assert all(torch.equal(now, then) for now, then in zip(run.parameters, before, strict=True))


def test_batch_norm_statistics_are_those_of_the_first_forward():
    ends = []
    for text in ("", "sam(rho=0.5)"):
        run, feed = started(image_network(), images(N), IMAGE, text)
        gradients(run, feed, feed.parts(np.arange(8), size=8, seed=0, epoch=0), count=8)
        ends.append([buffer.clone() for buffer in run.buffers])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_a_failure_on_the_way_leaves_the_weights_alone():
    run, feed = started(text_network(), texts(N), TEXT, "sam(rho=0.5)")
    before, calls = [p.detach().clone() for p in run.parameters], []
    parts = feed.parts(np.arange(8), size=8, seed=0, epoch=0)

    class Failing:
        is_cached = False

        def logits(self, part):
            calls.append(part)
            if len(calls) == 2:
                raise RuntimeError("out of memory")
            return feed.logits(part)

    with pytest.raises(RuntimeError):
        gradients(run, Failing(), parts, count=8)
    assert len(calls) == 2
    assert all(torch.equal(now, then) for now, then in zip(run.parameters, before, strict=True))
