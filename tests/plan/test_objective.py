"""Objectives as records: typed, shown, written down and read back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outlines import outline, plan

from regraft.errors import PlanError
from regraft.plan import explain
from regraft.plan.check import check
from regraft.plan.objective import Objective, parse, text_of
from regraft.plan.plan import Plan
from regraft.plan.recipe import checked, load, write

TEXT = "distill(teacher=tickets, temperature=2, weight=0.5)+l2_sp(strength=0.01)"


def test_what_is_typed_is_read_and_written_the_same():
    first, second = parse(TEXT)
    assert first == Objective("distill", (("teacher", "tickets"), ("temperature", 2), ("weight", 0.5)))
    assert str(second) == "l2_sp(strength=0.01)"
    assert text_of((first, second)) == TEXT and parse(text_of((first, second))) == (first, second)
    assert parse("") == () and parse(["l2-sp", "module:losses.my_loss(gamma=2)"]) == parse("l2_sp + module:losses.my_loss(gamma=2)")


@pytest.mark.parametrize("option", ["123456789012", "1e5", "blocks.1:blocks.3", "a b", True, 3, 2.5, ("blocks.1:blocks.3", "head")])
def test_every_kind_of_option_survives_being_typed(option):
    one = Objective.of("distill", {"teacher": option})
    assert parse(str(one)) == (one,)


@pytest.mark.parametrize(
    "text, found, advice",
    [
        ("l2_sp(0.1)", "an objective's options are given by name", r"l2_sp\(name=0.1\)"),
        ("+l2_sp", r"there is nothing before or after a '\+'", "distill"),
        ("l2_sp(strength=0.1", "a bracket is open", r"l2_sp\(strength=0.1\)"),
    ],
)
def test_what_cannot_be_read_is_said(text, found, advice):
    with pytest.raises(PlanError, match=f"found: {found}\ntry:   {advice}"):
        parse(text)


def test_a_plan_carries_its_objectives_through_json_recipe_and_digest():
    bare = plan("full")
    made = replace(bare, objectives=parse(TEXT))
    assert made.digest != bare.digest
    assert Plan.from_json(made.json()) == made
    assert load(write(made)) == made and write(load(write(made))) == write(made)
    assert checked({"objective": ["l2_sp", "r_drop"]}) == {"objective": ["l2_sp", "r_drop"]}
    assert "objective" not in write(bare)


def test_the_plan_shows_its_objectives_beside_the_grid():
    made = replace(plan("full"), objectives=parse(TEXT))
    last = explain.grid(made).splitlines()[-1]
    assert last == "beside the task's loss: distill(teacher=tickets, temperature=2, weight=0.5), l2_sp(strength=0.01)"
    assert explain.document(made, outline())["objective"] == TEXT
    assert "beside" not in explain.grid(plan("full"))


def test_a_head_that_is_solved_minimises_the_tasks_loss_alone():
    made = replace(plan("lp_ft"), objectives=parse("l2_sp"))
    assert any("solved in closed form: l2_sp does not act in it" in warning for warning in check(made, outline()))
    with pytest.raises(PlanError, match="no phase is trained by gradient, so no objective can act"):
        check(replace(plan("linear_probe"), objectives=parse("l2_sp")), outline())
