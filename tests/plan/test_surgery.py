"""Surgery as it is typed."""

from __future__ import annotations

import pytest

from regraft.errors import PlanError, RequestError
from regraft.plan.surgery import FORMS, parse_surgery, split_model
from regraft.surgery.specs import KINDS, edit_from_json, edit_json
from regraft.surgery.steps import Step
from regraft.surgery.structure import STRUCTURAL, Deepen, Drop, Insert, Prune, Quantize, Replace, Widen


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("drop(blocks.2, blocks.3)", [Step(Drop(), "blocks.2,blocks.3")]),
        ("drop(2:4)", [Step(Drop(), "2:4")]),
        ("drop(-1)+drop(0)", [Step(Drop(), "-1"), Step(Drop(), "0")]),
        ("insert(se, after=blocks.1)", [Step(Insert(module="se"), "blocks.1")]),
        ("insert(adapter, after=[blocks.1, 2], width=8)", [Step(Insert(module="adapter", width=8), "blocks.1,2")]),
        ("replace(activation=relu, at=blocks.2:)", [Step(Replace(activation="relu"), "blocks.2:")]),
        ("replace(pooling=first)", [Step(Replace(pooling="first"), "head")]),
        ("replace(norm=rms)", [Step(Replace(norm="rms"), "all", is_given=False)]),
        ("prune(heads, amount=0.5, at=blocks.0)", [Step(Prune(what="heads", amount=0.5), "blocks.0")]),
        ("widen", [Step(Widen(), "all", is_given=False)]),
        ("deepen(after=3)", [Step(Deepen(), "3")]),
    ],
)
def test_what_is_typed_is_what_is_done(text, steps):
    assert parse_surgery(text) == tuple(steps)


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("dorp(1)", PlanError, "did you mean 'drop'"),
        ("drop()", PlanError, "no stage is named"),
        ("insert(after=1)", PlanError, "it is not said what"),
        ("insert(se, block, after=1)", PlanError, "stages are named by after="),
        ("insert(sse, after=1)", RequestError, "module is one of se, adapter, block, dropout"),
        ("prune(heads, amuont=1)", PlanError, "did you mean 'amount'"),
        ("prune(heads, amount=1)", RequestError, "amount is between 0 and 1"),
        ("widen(factor=1)", RequestError, "factor is above 1"),
        ("replace(norm=rms, activation=relu)", RequestError, "one thing is replaced at a time"),
        ("replace()", RequestError, "one thing is replaced at a time"),
        ("drop(1", PlanError, "a bracket is open"),
    ],
)
def test_what_is_not_understood_is_answered_with_what_to_type(text, error, told):
    with pytest.raises(error, match=told):
        parse_surgery(text)


def test_a_model_with_surgery_is_told_from_one_without():
    assert split_model("bundled:minilm+drop(1, 3)+prune(heads)") == ("bundled:minilm", "drop(1, 3)+prune(heads)")
    assert split_model("tickets~1 + widen") == ("tickets~1", "widen")
    assert split_model("file:some+folder/c") == ("file:some+folder/c", "")


def test_every_structural_edit_can_be_typed_and_stored():
    assert set(FORMS) == set(STRUCTURAL) <= set(KINDS)
    for edit in (Drop(), Insert(module="block"), Replace(block="blocks.1"), Prune(what="heads"), Widen(noise=0.1), Deepen(), Quantize()):
        assert edit_from_json(edit_json(edit)) == edit
