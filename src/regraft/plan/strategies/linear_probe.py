"""``linear_probe``: the trunk as it is, and a linear head solved to its optimum on pooled features (Alain & Bengio 2016, 1610.01644)."""

from __future__ import annotations

from regraft.plan.columns import probe
from regraft.plan.strategy import Phases, strategy
from regraft.trunk.outline import Outline


@strategy
def linear_probe(outline: Outline, phases: Phases) -> Phases:
    return (probe(outline, phases),)
