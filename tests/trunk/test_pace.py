"""A trunk's own rate: what a pass over real examples takes on this machine."""

from __future__ import annotations

import pytest
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


def test_what_a_pass_costs_by_itself_is_not_counted_for_every_example(monkeypatch):
    made, seen = trunk(), []
    monkeypatch.setattr(pace, "_seconds", lambda t, inputs, count: seen.append(count) or 0.01 + 1e-4 * count)
    found = pace.gflops(made, {"x": torch.randn(32, 64)}, measure(made))
    assert seen == [2, 16, 32, 32]
    assert found == pace_of(made, 32 / (0.01 + 32e-4))


def pace_of(made: Trunk, per_s: float) -> float:
    return pytest.approx(2 * sum(stage.macs for stage in measure(made).stages) * per_s / 1e9)


def test_weights_lie_as_before_when_the_timing_is_done():
    host = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    made = Trunk.of(host, stages=["0", "1"], width=4, input=InputSpec(kind="image", size=(8, 8)))
    before = [parameter.data_ptr() for parameter in host.parameters()]
    assert pace.gflops(made, {"image": torch.randn(4, 3, 8, 8)}, measure(made)) > 0
    assert [parameter.data_ptr() for parameter in host.parameters()] == before
    host.requires_grad_(True)  # refused for tensors that were made in inference mode
