"""Regraft: fine-tune pretrained models.

    import regraft as rg

    plan = rg.plan("tickets.csv")        # the grid of stages and phases, with reasons and cost; nothing is spent
    generation = rg.tune(plan)           # or rg.tune("tickets.csv", strategy=rg.lora(rank=8))
    generation.predict(["where is my card?"])

Every public name is in ``PUBLIC`` and is imported when it is first used, so that ``import regraft`` costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

PUBLIC = {
    "plan": "regraft.tune.conduct",
    "tune": "regraft.tune.conduct",
    "grow": "regraft.grow.conduct",
    "merge": "regraft.grow.merge",
    "check": "regraft.tune.check",
    "edit": "regraft.grow.edit",
    "distill": "regraft.grow.distill",
    "open": "regraft.tune.generation",
    "Generation": "regraft.tune.generation",
    "Plan": "regraft.plan.plan",
    "Phase": "regraft.plan.phase",
    "Cell": "regraft.plan.cell",
    "Settings": "regraft.plan.settings",
    "Strategy": "regraft.plan.strategy",
    "strategy": "regraft.plan.strategy",
    "Trunk": "regraft.trunk.trunk",
    "Stage": "regraft.trunk.stage",
    "Store": "regraft.lineage",
    "Metric": "regraft.spec",
    "RegraftError": "regraft.errors",
    "scratch": "regraft.plan.strategies",
    "full": "regraft.plan.strategies",
    "linear_probe": "regraft.plan.strategies",
    "lp_ft": "regraft.plan.strategies",
    "solve_head": "regraft.plan.strategies",
    "freeze": "regraft.plan.strategies",
    "top": "regraft.plan.strategies",
    "gradual_unfreezing": "regraft.plan.strategies",
    "discriminative_lr": "regraft.plan.strategies",
    "statistics": "regraft.plan.strategies",
    "surgical": "regraft.plan.strategies",
    "bias_only": "regraft.plan.strategies",
    "norm_only": "regraft.plan.strategies",
    "lora": "regraft.plan.strategies",
    "adapter": "regraft.plan.strategies",
}
__all__ = ["PUBLIC", "__version__", *PUBLIC]


class _Surface(ModuleType):
    """``rg.plan``, ``rg.tune`` and ``rg.grow`` are the functions, though rooms of these names exist: importing ``regraft.tune.conduct``
    would otherwise leave the package in their place."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("plan", "tune", "grow"):
            return getattr(import_module(PUBLIC[name]), name)
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name in PUBLIC:
            return getattr(import_module(PUBLIC[name]), name)
        raise AttributeError(f"module 'regraft' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *PUBLIC})


sys.modules[__name__].__class__ = _Surface
