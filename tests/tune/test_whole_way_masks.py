"""From images and masks to a generation and back: cached and live, frozen and full, in another process, measured against another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import masked

import regraft as rg
from regraft.errors import PlanError

MODEL = "module:regraft.testing.hosts.trunk_of?name=timm resnet10t"
OPTIONS = {"model": MODEL, "input_size": 32, "batch_size": 6, "lr": 1e-2, "augment": {}, "refit": False, "dropout": 0.0}
PREDICT = """
import json, sys
from regraft.lineage import Store
from regraft.serve import Predictor
print(json.dumps(Predictor.load(Store(sys.argv[1]), "top", device="cpu").predict([sys.argv[2]])))
assert not any(name.startswith(("regraft.train", "regraft.plan")) for name in sys.modules)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return masked.splits(tmp_path_factory.mktemp("masked"), train=18, valid=6, test=6)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def full(data, store):
    return rg.tune(data, store=store, strategy="full", epochs=30, name="full", **{**OPTIONS, "augment": {"flip": 0.5, "crop": 2}})


@pytest.fixture(scope="module")
def top(data, store):
    return rg.tune(data, store=store, strategy="top(n=1)", epochs=3, name="top", **OPTIONS)


def test_all_of_it_learns_where_the_squares_are(full):
    assert full.document["task"] == "semantic-segmentation"
    assert full.metrics["test"]["mean_iou"]["value"] > 0.6
    page = Path(full.document["report"]).read_text(encoding="utf-8")
    assert "From left to right: the image, the truth, the answer." in page and "IoU" in page
    legend = page[page.index('class="chips legend"') :]
    assert all(f'"></i>{name}</li>' in legend for name in ("background", "foreground"))


def test_frozen_stages_are_computed_once_for_all_maps(top):
    assert top.record.manifest["cost"]["cache"] == {"phases_cached": 1, "phases": 1}
    assert top.document["warnings"] == []


def test_the_decoder_is_in_the_forecast(full):
    forecast, cost = full.document["plan"]["cost"], full.record.manifest["cost"]
    assert forecast["parameters"] == cost["parameters"]
    assert forecast["trainable_parameters"] == cost["trainable_parameters"]


def test_another_process_answers_the_same(top, store, data):
    image = str(next((data / "test" / "images").iterdir()))
    ran = subprocess.run([sys.executable, "-c", PREDICT, str(store), image], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == top.predict([image])


def test_two_generations_are_compared_by_their_mean_iou(full, top, data):
    found = full.evaluate(str(data), against=top)
    assert found["metrics"] == full.metrics["test"]
    assert found["against"]["metric"] == "mean_iou" and found["against"]["verdict"] in ("better", "tie")
    assert {row["class"] for row in found["per_class"]} == {"background", "foreground"}


def test_lora_and_a_frozen_trunk_work_under_a_decoder(data, store):
    for name, strategy in (("lora", "lora(rank=2)"), ("head", "top(n=0)")):
        made = rg.tune(data, store=store, strategy=strategy, epochs=1, name=name, **OPTIONS)
        assert 0 <= made.metrics["test"]["mean_iou"]["value"] <= 1, name


def test_losses_for_rare_pixels_learn_on_masks(data, store):
    made = rg.tune(data, store=store, strategy="full", objective="class_balanced+focal+dice", epochs=12, name="rare", **OPTIONS)
    assert made.metrics["test"]["mean_iou"]["value"] > 0.55


def test_a_head_that_cannot_be_solved_is_named(data, store):
    with pytest.raises(PlanError, match="PyramidHead"):
        rg.tune(data, store=store, strategy="linear_probe", name="solved", **OPTIONS)


def test_augmentations_that_masks_cannot_follow_are_refused(data, store):
    with pytest.raises(PlanError, match="mixup"):
        rg.tune(data, store=store, strategy="full", epochs=1, name="mixed", **{**OPTIONS, "augment": {"mixup": 0.2}})


def test_the_plan_shows_what_will_happen(data, store):
    plan = rg.plan(data, store=store, strategy="top(n=1)", epochs=2, **OPTIONS)
    assert plan.task == "semantic-segmentation" and plan.data["outputs"] == "2 classes of pixels"
