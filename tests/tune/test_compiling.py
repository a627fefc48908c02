"""``compile`` is refused, before anything is spent, where it cannot be done."""

from __future__ import annotations

from typing import Any

import pytest

from regraft.errors import PlanError
from regraft.plan.cell import FROZEN, TRAIN
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.tune import compiling


@pytest.fixture(autouse=True)
def a_compiler(monkeypatch):
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: None)


def plan_of(**settings: Any) -> Plan:
    phases = (Phase(name="one", cells=(FROZEN, TRAIN)),)
    return Plan(task="t", model="m", strategy="s", stages=("stem", "head"), phases=phases, settings=Settings(**settings))


def test_it_is_refused_without_a_compiler_and_with_checkpointing(monkeypatch):
    compiling.check(plan_of(compile=True), "cpu")
    with pytest.raises(PlanError, match="compile=true with gradient_checkpointing=true"):
        compiling.check(plan_of(compile=True, gradient_checkpointing=True), "cpu")
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: f"no compiler for {device}")
    with pytest.raises(PlanError, match=r"found: no compiler for cuda\ntry:   --set compile=false"):
        compiling.check(plan_of(compile=True), "cuda")
    compiling.check(plan_of(), "cuda")


def test_nothing_is_compiled_unasked():
    assert not Settings().compile
    assert plan_of().digest != plan_of(compile=True).digest
