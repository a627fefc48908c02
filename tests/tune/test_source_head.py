"""The classifier that a trunk was pretrained with: found again, told of, used, and missed where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import regraft as rg
from regraft.data.encode import prepare
from regraft.errors import PlanError
from regraft.plan.objective import parse
from regraft.trunk.load import load
from regraft.tune.conduct import requested
from regraft.tune.job import open_data, open_job
from regraft.tune.learned_from import settled
from regraft.tune.source_head import source_head

OPTIONS = {"strategy": "top(n=1)", "epochs": 1.0, "batch_size": 8, "objective": "co_tuning(weight=0.5, relation=direct)"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Class folders of twelve small images each, one green and one red."""
    folder, draws = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for place, name in enumerate(("red", "green")):
        (folder / name).mkdir()
        for index in range(12):
            pixels = draws.integers(0, 90, size=(64, 64, 3))
            pixels[..., place] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return str(folder)


def test_it_answers_as_the_pretrained_model_does(pictures):
    request = requested(pictures, None, {"model": "bundled:vision"})
    job = open_job(request, open_data(request), "bundled:vision")
    inputs = prepare(job.encoded("train").batch(range(4)), job.trunk.input)
    whole = load("bundled:vision")
    with torch.no_grad():
        torch.testing.assert_close(source_head(job)(job.trunk.features(inputs)), whole.host(inputs["image"]))


def test_a_run_learns_beside_it_and_its_plan_says_so(pictures, tmp_path):
    made = rg.tune(pictures, model="bundled:vision", store=tmp_path, name="co", **OPTIONS)
    held = made.record.manifest["plan"]
    assert held["objective"] == "co_tuning(weight=0.5, relation=direct)"
    assert any(
        "the classifier that bundled:vision was pretrained with (fc) learns on beside the head" in reason
        for reason in made.document["plan"]["reasons"]
    )
    assert not any("objective" in name for name in made.store.tensor_files(made.record))
    with pytest.raises(
        PlanError, match="co_tuning from co\nfound: the classifier of the pretraining reads features that its trunk has moved away from"
    ):
        settled(parse("co_tuning"), made.store, parent=made.digest)
    with pytest.raises(PlanError, match="its trunk has moved away from"):
        rg.distill("co", pictures, model="co", store=tmp_path, objective="co_tuning")


@pytest.mark.parametrize("objective", ["co_tuning", "co_tuning(relation=direct)+l2_sp"])
def test_a_model_without_one_is_refused_before_anything_is_spent(model, data, tmp_path, objective):
    with pytest.raises(
        PlanError, match="it comes without the classifier that it was pretrained with\ntry:   a model that comes with its classifier"
    ):
        rg.plan(data, model=model, store=tmp_path, strategy="full", objective=objective)


def test_mobilenet_without_its_top_is_refused(pictures, shared_data, tmp_path):
    reference = f"file:{shared_data}/weights/mobilenet_v2_0.35_224_imagenet_notop.safetensors"
    with pytest.raises(PlanError, match="it comes without the classifier"):
        rg.plan(pictures, model=reference, store=tmp_path, strategy="full", objective="co_tuning")
