"""``compile``: auto is settled by the forecast and said; on is refused where it cannot be done."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from regraft.errors import PlanError
from regraft.plan.cell import FROZEN, TRAIN
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.tune import compiling
from regraft.tune.compiling import decided

CPU: Any = SimpleNamespace(device="cpu")


@pytest.fixture(autouse=True)
def a_compiler(monkeypatch):
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: None)
    monkeypatch.setattr(compiling, "SAVED", {"bert": 0.1})


def plan_of(train_s: float, *, solver: str = "gradient", **settings: Any) -> Plan:
    phase = Phase(name="one", cells=(FROZEN, TRAIN), solver=solver)  # type: ignore[arg-type]
    return Plan(
        task="t",
        model="m",
        strategy="s",
        stages=("stem", "head"),
        phases=(phase,),
        settings=Settings(**settings),
        cost={"train_s": train_s},
    )


def test_auto_is_on_where_much_is_saved_and_says_so():
    long = decided(plan_of(10_000), CPU, "bert")
    assert long.settings.compile == "on"
    assert long.reasons == (f"compile on: it may save 1,000 s of 10,000 s of training, and takes about {compiling.FIRST_S:.0f} s",)
    short = decided(plan_of(100), CPU, "bert")
    assert (short.settings.compile, short.reasons) == ("off", ())
    open_question = decided(plan_of(15 * compiling.FIRST_S), CPU, "bert")
    assert open_question.settings.compile == "off" and open_question.reasons[0].startswith("compile off: it may save ")


def test_auto_is_off_where_it_cannot_pay_or_was_not_measured():
    for plan, device, family in (
        (plan_of(10_000, solver="closed_form"), "cpu", "bert"),
        (plan_of(10_000, gradient_checkpointing=True), "cpu", "bert"),
        (plan_of(10_000), "cuda", "bert"),
        (plan_of(10_000), "cpu", "recurrent"),
    ):
        assert decided(plan, SimpleNamespace(device=device), family).settings.compile == "off"  # type: ignore[arg-type]


def test_on_is_refused_without_a_compiler_and_with_checkpointing(monkeypatch):
    with pytest.raises(PlanError, match="compile=on with gradient_checkpointing=true"):
        decided(plan_of(10, compile="on", gradient_checkpointing=True), CPU, "bert")
    assert decided(plan_of(10, compile="on"), CPU, "bert").settings.compile == "on"
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: "no C++ compiler is here")
    with pytest.raises(PlanError, match=r"found: no C\+\+ compiler is here\ntry:   --set compile=off"):
        decided(plan_of(10, compile="on"), CPU, "bert")
    assert decided(plan_of(10_000), CPU, "bert").settings.compile == "off"


def test_the_digest_of_a_plan_does_not_depend_on_it_and_a_switch_may_be_a_yes_or_a_no():
    off, on = (plan_of(10, compile=value) for value in ("off", "on"))
    assert off.digest == on.digest and off.json()["settings"]["compile"] == "off"
    assert Plan.from_json(on.json()).settings.compile == "on"
    assert Settings.from_json({"compile": True}).compile == "on" and Settings.from_json({"compile": False}).compile == "off"
    assert replace(off.settings, compile="on") == on.settings
