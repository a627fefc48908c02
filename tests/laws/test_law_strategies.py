"""Laws 3, 4, 6, 7 and 9 to 12 over every registered strategy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regraft import testing
from regraft.errors import PreflightError
from regraft.plan.strategy import Strategy, known_strategies, parse
from regraft.testing.kit import check_strategy
from regraft.testing.training_laws import check_frozen
from regraft.trunk.measure import measure

TYPED = {
    "adapter": "adapter(width=8)",
    "bias_only": "bias_only",
    "discriminative_lr": "discriminative_lr(decay=0.7)",
    "freeze": "freeze(below=blocks.1)",
    "full": "full",
    "gradual_unfreezing": "gradual_unfreezing(every=2)",
    "linear_probe": "linear_probe",
    "lora": "lora(rank=2)",
    "lp_ft": "lp_ft",
    "norm_only": "norm_only",
    "scratch": "scratch",
    "solve_head": "solve_head",
    "statistics": "statistics(width=200)",
    "surgical": "surgical(stages=blocks.0)",
    "top": "top(n=2)",
}
COMPOSED = (
    "freeze(below=blocks.0)+lora(rank=2)+gradual_unfreezing(every=1)",
    "top(n=2)+discriminative_lr(decay=0.5)+lp_ft",
    "top(n=2)+solve_head",
)
SOLVED = {"linear_probe", "lp_ft", "solve_head", "statistics"}
"""Strategies with a phase that is solved: there is no loop to be like."""
FROZEN_BELOW = {"freeze", "top", "linear_probe", "lora", "adapter", "surgical", "bias_only", "norm_only", "statistics"}


def test_every_registered_strategy_is_here():
    assert set(TYPED) == set(known_strategies())
    assert len(TYPED) == 15


@pytest.mark.parametrize("text", [*TYPED.values(), *COMPOSED])
def test_the_laws_hold_for_a_strategy(text):
    counts = check_strategy(text)
    names = {part.partition("(")[0] for part in text.split("+")}
    assert counts["parity"] != bool(names & SOLVED)
    assert counts["carried"] > 0 or text in ("linear_probe", TYPED["statistics"])
    assert counts["cached"] >= (
        text in ("freeze(below=blocks.1)", "top(n=2)", "linear_probe", TYPED["statistics"], COMPOSED[1])
    )  # a phase of a single epoch has nothing to gain


def test_a_grid_that_breaks_a_law_is_told_so():
    plan = testing.toy_plan("top(n=2)", testing.toy_network(), epochs=1.0)
    with pytest.raises(PreflightError, match="it did not move in two steps at rate 0"):
        check_frozen(testing.toy_network, replace(plan, settings=replace(plan.settings, lr=0.0)), testing.images(16))


def test_a_strategy_that_does_not_learn_is_told_so():
    plan = testing.toy_plan("linear_probe", testing.toy_network())
    with pytest.raises(AssertionError, match=r"linear_probe: accuracy 0\.\d\d after training"):
        testing.check_learns(testing.toy_network, plan, testing.images(30), testing.images(30, seed=3), margin=1.0)


def test_a_plan_that_is_for_another_model_is_told_so():
    plan = testing.toy_plan("full", testing.toy_network())
    other = measure(testing.toy_network(blocks=2).trunk)
    with pytest.raises(ValueError, match="found"):
        testing.check_plan(plan, other)


def test_a_strategy_may_be_handed_over_instead_of_typed():
    mine = parse("top(n=1)")
    assert check_strategy(Strategy("top(n=1)", mine.fill))["phases"] == 1
