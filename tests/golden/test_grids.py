"""The grid as people see it, for three strategies on the toy."""

from __future__ import annotations

import pytest

from golden import matches
from regraft.plan.explain import grid
from regraft.testing import toy_network, toy_plan
from regraft.trunk.measure import measure


@pytest.mark.parametrize(("name", "strategy"), [
    ("probe_then_full", "discriminative_lr(decay=0.7)+lp_ft"),
    ("gradual", "gradual_unfreezing(every=2)"),
    ("lora_above_a_boundary", "freeze(below=blocks.1)+lora(rank=4)"),
])  # fmt: skip
def test_the_grid_is_drawn_as_before(name, strategy):
    network = toy_network()
    outline = measure(network.trunk)
    plan = toy_plan(strategy, network, outline=outline)
    matches(f"grid_{name}.txt", f"{plan.strategy}\n\n{grid(plan, outline, num_classes=3)}\n")
