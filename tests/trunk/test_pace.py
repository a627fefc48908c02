"""A trunk's own rate: what a pass over real examples takes on this machine."""

from __future__ import annotations

import torch
from torch import nn

from regraft.spec import InputSpec
from regraft.trunk import pace
from regraft.trunk.measure import measure
from regraft.trunk.trunk import Trunk


class Slow(nn.Module):
    """Two products, and a count of the passes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.calls = nn.Linear(64, 64), nn.Linear(64, 64), 0

    def forward(self, x):
        self.calls += 1
        return self.second(self.first(x))


def trunk() -> Trunk:
    return Trunk.of(Slow(), stages=["first", "second"], width=64, input=InputSpec(kind="tensor", size=(64,)))


def test_the_rate_is_positive_and_the_mode_is_kept():
    made = trunk()
    made.host.train()
    assert pace.gflops(made, {"x": torch.randn(8, 64)}, measure(made)) > 0
    assert made.host.training


def test_a_slow_model_is_timed_on_few_examples(monkeypatch):
    made, seen = trunk(), []
    monkeypatch.setattr(pace, "_seconds", lambda t, inputs, count: seen.append(count) or 10.0 * count)
    assert pace.gflops(made, {"x": torch.randn(8, 64)}, measure(made)) > 0
    assert set(seen) == {pace.FIRST}


def test_a_trunk_that_was_not_counted_has_no_rate():
    made = Trunk.of(Slow(), stages=["first", "second"], width=64)
    assert pace.gflops(made, {"x": torch.randn(8, 64)}, measure(made)) == 0.0
