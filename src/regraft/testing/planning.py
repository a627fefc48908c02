"""A plan for a small network, with settings that fit the toy splits."""

from __future__ import annotations

from typing import Any

from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import Strategy, parse
from regraft.testing.toy import task_for
from regraft.trunk.measure import measure
from regraft.trunk.network import Network
from regraft.trunk.outline import Outline


def toy_plan(strategy: Strategy | str, network: Network, *, outline: Outline | None = None, **settings: Any) -> Plan:
    """The plan of ``strategy`` for ``network``, in fp32, with a rate and a length that fit the toy splits."""
    made = parse(strategy) if isinstance(strategy, str) else strategy
    seen = outline or measure(network.trunk)
    chosen = Settings(**{"lr": 1e-2, "batch_size": 16, "epochs": 2.0, "precision": "fp32", **settings})
    return Plan(
        task=task_for(network.trunk),
        model=network.trunk.reference or "toy",
        strategy=str(made),
        stages=network.stage_names,
        phases=made(seen),
        settings=chosen,
    )
