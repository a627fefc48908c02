"""Recipes: YAML in, typed documents out; plans to YAML and back."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outlines import compositions, outline, plan, quick

from regraft.errors import PlanError, RequestError
from regraft.plan.cell import FROZEN, TRAIN, Cell
from regraft.plan.cost import Facts, forecast
from regraft.plan.recipe import SettingsRecipe, assignments, checked, layered, load, read, settings_of, strategy_of, write
from regraft.plan.settings import Settings
from regraft.surgery.specs import Lora


@quick
@given(text=compositions, num_stages=st.integers(1, 14), lr=st.floats(1e-9, 10.0), seed=st.integers(0, 2**40))
def test_a_plan_written_and_read_is_the_same(text, num_stages, lr, seed):
    over = outline(num_stages)
    try:
        made = plan(text, over, lr=lr, seed=seed, augment={"crop": 4, "flip": True, "policy": "m9"})
    except RequestError:
        return
    made = replace(
        made.because("weil: 'no', 小"),
        warnings=("a",),
        data={"reference": "x.csv", "input": None, "outline": over.json()},
        cost=forecast(made, over, Facts(num_train=3)),
    )
    assert load(write(made)) == made
    assert load(write(made)).digest == made.digest


@quick
@given(text=compositions)
def test_a_written_plan_is_a_recipe(tmp_path_factory, text):
    over = outline()
    try:
        made = plan(text, over)
    except RequestError:
        return
    path = tmp_path_factory.mktemp("recipe") / "r.yaml"
    path.write_text(write(made), encoding="utf-8")
    document = read(path)
    assert strategy_of(document["strategy"])(over) == made.phases
    assert settings_of(document) == made.settings


def test_a_recipe_gives_typed_values(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "model: bundled:minilm\nstrategy: [top(n=2), discriminative_lr(decay=0.5)]\nsettings: {lr: 1e-4, epochs: 3, augment: {flip: yes, crop: 4}}\n"
    )
    document = read(path)
    assert document["settings"] == {"lr": 1e-4, "epochs": 3.0, "augment": {"flip": True, "crop": 4}}
    assert strategy_of(document["strategy"])(outline()) == plan("top(n=2)+discriminative_lr(decay=0.5)").phases
    assert settings_of(document).augment == (("crop", 4), ("flip", True))


def test_a_grid_by_hand():
    document = checked({"strategy": {"phases": [
        {"name": "low", "epochs_fraction": 0.25, "cells": {"stem": {}, "head": {}}},
        {"name": "rest", "epochs_fraction": 0.75, "cells": {
            "blocks": {"edit": {"kind": "lora", "rank": 2}, "only": "edit"}, "blocks.1:": {"lr_scale": "0.5"}, "head": {}}},
    ]}})  # fmt: skip
    low, rest = strategy_of(document["strategy"])(outline())
    assert low.cells == (TRAIN, FROZEN, FROZEN, FROZEN, TRAIN)
    half = Cell(trainable=True, lr_scale=0.5)
    assert rest.cells == (FROZEN, Cell(trainable=True, edit=Lora(rank=2), only="edit"), half, half, TRAIN)
    assert (low.name, rest.epochs_fraction) == ("low", 0.75)


def test_every_setting_can_be_written():
    assert set(SettingsRecipe.model_fields) == {field.name for field in fields(Settings)}
    assert settings_of({}) == Settings()


def test_later_layers_win():
    recipe = {"settings": {"lr": 1.0, "epochs": 2.0, "augment": {"flip": True}}, "strategy": {"phases": []}}
    flags = {"settings": {"lr": 2.0, "augment": {"crop": 4}}, "strategy": "full"}
    assert layered(recipe, flags) == {"settings": {"lr": 2.0, "epochs": 2.0, "augment": {"flip": True, "crop": 4}}, "strategy": "full"}
    assert settings_of(layered(recipe, flags), Settings(batch_size=7)).batch_size == 7


def test_an_empty_key_is_not_given(tmp_path):
    (tmp_path / "r.yaml").write_text("settings:\ntask:\n")
    assert read(tmp_path / "r.yaml") == {}


@pytest.mark.parametrize(("pair", "document"), [
    ("lr=3e-4", {"settings": {"lr": 3e-4}}),
    ("settings.batch_size=8", {"settings": {"batch_size": 8}}),
    ("augment.flip=true", {"settings": {"augment": {"flip": True}}}),
    ("strategy=lora(rank=4, where=query)", {"strategy": "lora(rank=4, where=query)"}),
    ("schedule=cosine", {"settings": {"schedule": "cosine"}}),
])  # fmt: skip
def test_set_assigns_with_the_right_type(pair, document):
    assert assignments([pair]) == document


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: checked({"setings": {}}), r"did you mean 'settings'"),
    (lambda: checked({"lr": 3}), r"settings: \{lr: \.\.\.\}"),
        (lambda: checked({"settings": {"epoch": 3}}), r"settings\.epoch in the recipe\nfound: no such key\ntry:   did you mean 'epochs'"),
    (lambda: checked({"settings": {"lr": "fast"}}), r"settings\.lr='fast'"),
    (lambda: checked({"settings": {"lr": float("nan")}}), r"finite number"),
    (lambda: checked({"settings": {"optimizer": "adam"}}), r"'adamw' or 'sgd'"),
    (lambda: checked({"strategy": {"phases": [{"name": "a", "cels": {}}]}}), r"did you mean 'cells'"),
    (lambda: checked({"strategy": {"phases": [{"name": "a", "cells": {"all": {"trainabl": 1}}}]}}), r"did you mean 'trainable'"),
    (lambda: checked([1]), r"it holds list where keys were expected"),
    (lambda: read("nowhere.yaml"), r"there is no such file"),
    (lambda: assignments(["lr"]), r"not of the form path\.to\.key=value"),
    (lambda: assignments(["lrr=3"]), r"did you mean"),
    (lambda: settings_of({"settings": {"epochs": -1.0}}), r"epochs lies between"),
    (lambda: strategy_of([]), r"the list is empty"),
    (lambda: load("strategy: full"), r"leaves its task, model or grid open"),
    (lambda: load("a: [1"), r"no YAML"),
    (lambda: strategy_of({"stages": ["x", "head"], "phases": []})(outline()), r"the model's rows are stem"),
    (lambda: strategy_of({"phases": [{"name": "a", "cells": {"block.1": {}}}]})(outline()), r"did you mean 'blocks\.1'"),
])  # fmt: skip
def test_mistakes_are_named_with_a_way_out(call, sentence):
    with pytest.raises(RequestError, match=sentence):
        call()


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "r.yaml").write_text("a: [1")
    with pytest.raises(PlanError, match=r"r\.yaml"):
        read(tmp_path / "r.yaml")
