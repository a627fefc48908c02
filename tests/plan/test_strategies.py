"""Strategies fill valid grids, compose from left to right, and read back what they write."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outlines import WORDS, compositions, outline, plan, quick, texts

from regraft.errors import PlanError, RequestError
from regraft.plan.check import check
from regraft.plan.plan import Plan
from regraft.plan.strategy import known_strategies, parse
from regraft.surgery.specs import Adapter, Lora


def scales(text: str, num_stages: int = 4) -> list[list[float | None]]:
    """For each phase, the rates of its rows from the door up; None where frozen."""
    return [[cell.lr_scale if cell.trainable else None for cell in phase.cells] for phase in plan(text, outline(num_stages)).phases]


def test_the_catalogue_is_what_is_registered():
    assert set(WORDS) == set(known_strategies())
    assert len(WORDS) == 15


@quick
@given(text=texts, num_stages=st.integers(1, 14))
def test_every_strategy_fills_a_valid_grid(text, num_stages):
    over = outline(num_stages)
    check(plan(text, over), over)


@quick
@given(text=compositions, num_stages=st.integers(1, 14))
def test_compositions_fill_valid_grids_or_say_why_not(text, num_stages):
    over = outline(num_stages)
    try:
        check(plan(text, over), over)
    except PlanError as error:
        assert any(words in error.found for words in ("none of them has a layer", "cannot be merged"))


@quick
@given(text=compositions)
def test_a_strategy_reads_back_what_it_writes(text):
    strategy = parse(text)
    assert str(parse(str(strategy))) == str(strategy)
    over = outline()
    try:
        phases = strategy(over)
    except RequestError:
        return
    assert parse(str(strategy))(over) == phases


@quick
@given(text=texts, num_stages=st.integers(1, 14))
def test_plans_survive_json(text, num_stages):
    made = plan(text, outline(num_stages), augment={"flip": True, "crop": 4})
    again = Plan.from_json(made.json())
    assert again == made
    assert again.digest == made.digest


@quick
@given(text=texts, num_stages=st.integers(1, 14))
def test_the_head_always_trains_at_full_rate(text, num_stages):
    for phase in plan(text, outline(num_stages)).phases:
        assert phase.cells[-1].trainable
        assert (phase.cells[-1].lr_scale, phase.cells[-1].only) == (1.0, "all")
        assert phase.cells[-1].edit is None or text.startswith("statistics")


def test_full_trains_everything_at_one_rate():
    assert scales("full") == [[1.0] * 5]


def test_freeze_and_top_say_the_same_from_both_ends():
    assert scales("freeze(below=blocks.1)") == scales("top(n=2)") == [[None, None, 1.0, 1.0, 1.0]]
    assert scales("freeze(below=head)") == scales("top(n=0)") == [[None] * 4 + [1.0]]
    assert scales("freeze(below=blocks)") == [[None, 1.0, 1.0, 1.0, 1.0]]


def test_linear_probe_is_solved():
    (phase,) = plan("linear_probe").phases
    assert (phase.solver, phase.epochs_fraction, phase.boundary) == ("closed_form", 0.0, 4)


def test_solve_head_ends_with_a_head_alone():
    assert [(phase.name, phase.solver) for phase in plan("top(n=1)+solve_head").phases] == [("all", "gradient"), ("solved", "closed_form")]
    assert scales("top(n=1)+solve_head") == [[None] * 3 + [1.0, 1.0], [None] * 4 + [1.0]]
    assert [plan(text).last_by_gradient for text in ("top(n=1)+solve_head", "lp_ft+solve_head", "linear_probe")] == [0, 1, -1]


def test_lp_ft_probes_before_what_was_planned():
    assert [phase.name for phase in plan("top(n=1)+lp_ft").phases] == ["probe", "all"]
    assert scales("top(n=1)+lp_ft") == [[None] * 4 + [1.0], [None] * 3 + [1.0, 1.0]]
    assert plan("lp_ft+lp_ft").phases == plan("lp_ft").phases


def test_rates_decay_from_the_head_down():
    (row,) = scales("discriminative_lr(decay=0.5)")
    assert row == [0.0625, 0.125, 0.25, 0.5, 1.0]


def test_gradual_unfreezing_walks_down_in_equal_shares():
    made = plan("gradual_unfreezing(every=2)", outline(6))
    assert [phase.boundary for phase in made.phases] == [6, 4, 2, 0]
    assert [phase.name for phase in made.phases] == ["head", "blocks.3", "blocks.1", "all"]
    assert [phase.epochs_fraction for phase in made.phases] == [0.25] * 4


def test_gradual_unfreezing_lets_go_only_what_trains():
    made = plan("freeze(below=blocks.1)+gradual_unfreezing(every=1)")
    assert [phase.boundary for phase in made.phases] == [4, 3, 2]
    assert made.phases[-1].cells == plan("freeze(below=blocks.1)").phases[0].cells


def test_decay_is_discriminative_lr():
    assert scales("gradual_unfreezing(every=2, decay=0.5)") == scales("gradual_unfreezing(every=2)+discriminative_lr(decay=0.5)")


def test_surgical_trains_what_it_names():
    assert scales("surgical(stages='stem,blocks.1')") == [[1.0, None, 1.0, None, 1.0]]


@pytest.mark.parametrize("only", ["bias", "norm"])
def test_one_kind_of_parameter(only):
    (phase,) = plan(f"{only}_only").phases
    assert {cell.only for cell in phase.cells[:-1]} == {only}


def test_lora_edits_what_was_trainable_and_freezes_the_rest():
    (phase,) = plan("freeze(below=blocks.1)+lora(rank=4, alpha=8, where=query)").phases
    edits = [cell.edit for cell in phase.cells]
    lora = Lora(rank=4, alpha=8.0, where="query")
    assert edits == [None, None, lora, lora, None]
    assert {cell.only for cell in phase.cells[2:4]} == {"edit"}
    assert phase.boundary == 2


def test_a_stem_trains_whole_beside_lora_at_a_tenth_of_its_rate():
    (phase,) = plan("lora(rank=4, stem=True)").phases
    stem, *blocks, _ = phase.cells
    assert (stem.trainable, stem.edit, stem.only, stem.lr_scale) == (True, None, "all", 0.1)
    assert {(cell.only, cell.lr_scale) for cell in blocks} == {("edit", 1.0)}
    assert phase.boundary == 0
    assert plan("freeze(below=blocks.1)+lora(stem=True)").phases == plan("freeze(below=blocks.1)+lora").phases


def test_a_trunk_without_a_stem_has_none_to_train_beside_lora():
    over = outline(1)
    parts = tuple(replace(stage, name=f"block.{index}") for index, stage in enumerate(over.stages))
    with pytest.raises(RequestError, match=r"no stage named stem: block\.0"):
        plan("lora(stem=True)", replace(over, stages=parts))


def test_lora_leaves_the_probe_alone():
    made = plan("lp_ft+lora")
    assert made.phases == plan("lora+lp_ft").phases
    assert made.phases[0].cells == plan("linear_probe").phases[0].cells


def test_adapters_stand_in_blocks():
    (phase,) = plan("adapter(width=8)").phases
    assert [cell.edit for cell in phase.cells] == [None, *[Adapter(width=8)] * 3, None]


def test_no_part_of_a_stem_gets_an_adapter():
    over = outline(4)
    parts = tuple(replace(stage, name=name) for stage, name in zip(over.stages, ("stem.0", "stem.1", "blocks.0", "neck"), strict=True))
    (phase,) = plan("adapter(width=8)", replace(over, stages=parts)).phases
    assert [cell.edit is not None for cell in phase.cells] == [False, False, True, True, False]


def test_edits_that_are_let_go_later_do_not_stand_before():
    made = plan("lora+gradual_unfreezing(every=2)")
    assert [phase.boundary for phase in made.phases] == [4, 2, 1]


def test_scratch_starts_from_random_weights():
    assert all(phase.fresh for phase in plan("lp_ft+scratch").phases)
    assert plan("scratch+lp_ft").phases == plan("lp_ft+scratch").phases


@pytest.mark.parametrize(("text", "sentence"), [
    ("lroa", r"did you mean 'lora'"),
    ("lora(rnk=2)", r"did you mean 'rank'"),
    ("lora(rank=2", r"a bracket is open"),
    ("freeze", r"below is not given"),
    ("top(1, 2)", r"it has 1: n"),
    ("top(n=9)", r"the trunk has 4 stages: stem, blocks\.0"),
    ("top(n=1.5)", r"top\(n=\.\.\.\) from 0 to 4"),
    ("freeze(below=block.1)", r"did you mean 'blocks\.1'"),
    ("lora(where=qeury)", r"did you mean 'query'"),
    ("lora(variant=dorra)", r"variant is one of plain"),
    ("discriminative_lr(decay=0)", r"decay lies above 0"),
    ("gradual_unfreezing(every=0)", r"every counts stages, from 1"),
    ("surgical(stages=stem)+lora", r"none of them has a layer that it could stand over"),
    ("surgical(stages=stem)+adapter", r"none of them has a layer that it could stand over"),
])  # fmt: skip
def test_nonsense_is_refused_with_advice(text, sentence):
    with pytest.raises(RequestError, match=sentence):
        plan(text)


def test_plans_are_made_without_torch():
    code = "import sys, regraft.plan.recipe, regraft.plan.check, regraft.plan.explain, regraft.plan.cost; from regraft.plan.strategy import parse; parse('lora+lp_ft'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "rows"),
    [("linear_probe", (0, 1, 2, 3)), ("top(n=1)", (0, 1, 2)), ("full", ()), ("gradual_unfreezing", ()), ("freeze(below=blocks.1)", (0, 1))],
)
def test_rows_that_no_phase_touches_are_known(text, rows):
    assert plan(text, outline(4)).never_touched == rows
