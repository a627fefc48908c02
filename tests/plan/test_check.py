"""Contradictions are refused, oddities are said aloud."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outlines import outline, plan

from regraft.errors import PlanError
from regraft.plan.cell import FROZEN, TRAIN, Cell
from regraft.plan.check import check
from regraft.plan.phase import Phase
from regraft.surgery.specs import Adapter, Lora

OVER = outline(3)


def grid(*phases: Phase, **settings):
    return replace(plan("full", OVER, **settings), phases=phases)


def phase(*cells: Cell, **more) -> Phase:
    return Phase(name=more.pop("name", "all"), cells=cells, **more)


LORA = Cell(trainable=True, edit=Lora(rank=2), only="edit")


def test_a_plain_plan_has_no_warnings():
    assert check(plan("gradual_unfreezing+lp_ft", OVER), OVER) == ()


@pytest.mark.parametrize(("made", "sentence"), [
    (grid(), r"a plan of no phases"),
    (grid(phase(TRAIN)), r"phase 'all' with 1 cells"),
    (replace(plan("full", OVER), stages=("stem", "head")), r"the rows of toy are stem, blocks\.0, blocks\.1, head"),
    (grid(phase(*[FROZEN] * 4)), r"nothing trains in it"),
    (grid(phase(*[Cell(trainable=True, lr_scale=0.0)] * 4)), r"nothing trains in it"),
    (grid(phase(FROZEN, FROZEN, Cell(trainable=True, lr_scale=-1.0), TRAIN)), r"a rate is not negative"),
    (grid(phase(FROZEN, FROZEN, TRAIN, TRAIN, solver="closed_form")), r"blocks\.1 moves or is edited in it"),
    (plan("linear_probe", OVER, augment={"mixup": 0.2}), r"there is nothing to mix"),
    (grid(phase(*[TRAIN] * 4, epochs_fraction=0.5)), r"together they are 0\.5"),
    (grid(phase(*[TRAIN] * 4, epochs_fraction=1.5), phase(*[TRAIN] * 4, epochs_fraction=-0.5)), r"epochs_fraction from 0 up"),
    (plan("full", OVER, epochs=0), r"nothing would move"),
    (plan("full", OVER, lr=0), r"nothing would move"),
    (plan("full", OVER, warmup_fraction=1.0), r"the rate would never be reached"),
    (grid(phase(FROZEN, TRAIN, TRAIN, replace(TRAIN, edit=Lora()))), r"lora r8 in the head"),
    (grid(phase(LORA, TRAIN, TRAIN, TRAIN)), r"stem has no linear layers"),
    (grid(phase(FROZEN, replace(LORA, edit=Lora(where="value")), TRAIN, TRAIN)), r"nothing matches among 2 linear layers"),
    (grid(phase(FROZEN, replace(LORA, edit=Lora(rank=17, variant="pissa")), TRAIN, TRAIN)), r"only 16 principal directions"),
    (grid(phase(FROZEN, Cell(trainable=True, only="edit"), TRAIN, TRAIN)), r"blocks\.0 has no edit"),
    (grid(phase(*[TRAIN] * 4, epochs_fraction=0.5), phase(*[TRAIN] * 4, epochs_fraction=0.5, fresh=True)), r"fresh: true in every phase"),
    (grid(phase(FROZEN, replace(LORA, edit=Adapter(width=2)), TRAIN, TRAIN, epochs_fraction=0.5), phase(*[TRAIN] * 4, epochs_fraction=0.5)),
     r"blocks\.0 with adapter w2 pfeiffer and then nothing"),
])  # fmt: skip
def test_contradictions_are_refused(made, sentence):
    with pytest.raises(PlanError, match=sentence):
        check(made, OVER)


@pytest.mark.parametrize("only", ["bias", "norm"])
def test_a_kind_that_a_stage_does_not_have(only):
    bare = replace(OVER, stages=tuple(replace(stage, biases=0, norms=0) for stage in OVER.stages))
    with pytest.raises(PlanError, match=f"blocks.0 has no {only}"):
        check(grid(phase(FROZEN, Cell(trainable=True, only=only), TRAIN, TRAIN)), bare)


@pytest.mark.parametrize("name", ["", "3", "head", "a,b", "2:", "blocks.1"])
def test_names_that_nobody_could_type(name):
    odd = replace(OVER, stages=(replace(OVER.stages[0], name=name), *OVER.stages[1:]))
    with pytest.raises(PlanError, match="stage names are unique"):
        check(plan("full", odd), odd)


def test_batch_normalisation_wants_a_batch():
    over = outline(3, batch_norm=True)
    with pytest.raises(PlanError, match="one example has no variance"):
        check(plan("full", over, batch_size=1), over)
    assert "takes its statistics from 4 examples" in check(plan("full", over, batch_size=4), over)[0]
    assert check(plan("full", over, batch_size=1, batch_norm="frozen"), over) == ()
    assert check(plan("top(n=0)", over, batch_size=1), over) == ()


@pytest.mark.parametrize(("made", "words"), [
    (plan("linear_probe", OVER, augment={"flip": True}), "have no effect"),
    (plan("linear_probe", OVER, label_smoothing=0.1), "have no effect"),
    (plan("top(n=1)+scratch", OVER), "stem, blocks.0 keep their random weights"),
    (plan("full", OVER, warmup_fraction=0.6), "warm-up takes 60%"),
    (plan("lora(rank=20)", OVER), "above the smallest layer's 16"),
    (grid(phase(FROZEN, LORA, TRAIN, TRAIN, epochs_fraction=0.5), phase(*[TRAIN] * 4, epochs_fraction=0.5)), "lora r2 in blocks.0 is merged"),
    (grid(phase(TRAIN, TRAIN, TRAIN, FROZEN)), "the head never trains"),
    (grid(phase(Cell(trainable=True, lr_scale=0.0), TRAIN, TRAIN, TRAIN)), "stem is trainable at rate 0"),
])  # fmt: skip
def test_oddities_are_said(made, words):
    assert any(words in warning for warning in check(made, OVER))
