"""A class for each pixel: its loss, its answers at the size of the image, its predictions and pictures."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import masked

from regraft.cli.mask_files import written
from regraft.data import arrays, masks
from regraft.data.dataset import unlabelled
from regraft.data.encode import encode
from regraft.data.encoded import IGNORE
from regraft.data.load import load
from regraft.errors import RequestError
from regraft.spec import FORMS, InputSpec
from regraft.tasks import of
from regraft.tune.document import errors_shown

NAME = "semantic-segmentation"


@pytest.fixture
def data(tmp_path):
    masked.write(tmp_path / "data", 4, values=(0, 255))
    return load(tmp_path / "data", valid_fraction=0.0, test_fraction=0.0)


def truth_of(data, size=(24, 32)):
    """Answers that are right, at another size than the masks'."""
    targets = data.splits["train"].targets
    return (
        of(NAME).bound(data.facts),
        arrays.ragged([masks.resized(masks.classes_at(target, data.facts), size) for target in targets]),
        targets,
    )


def test_the_loss_is_the_mean_over_the_pixels_that_count():
    task = of(NAME)
    logits, targets = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    targets[0, :2] = IGNORE
    each = nn.functional.cross_entropy(logits, targets, reduction="none", ignore_index=IGNORE)
    assert torch.allclose(task.losses(logits, targets), torch.stack([each[0, 2:].mean(), each[1].mean()]))
    targets[:] = IGNORE
    assert task.losses(logits, targets).tolist() == [0.0, 0.0]


def test_logits_of_a_coarse_map_are_brought_to_the_pixels():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, :, 1] = 4.0
    (answer,) = of(NAME).collect(logits - 1.9 * torch.tensor([0.0, 1.0])[None, :, None, None], torch.full((1, 8, 8), IGNORE))
    assert answer.shape == (8, 8) and answer.dtype == np.uint8
    assert answer[:, :3].max() == 0 and answer[:, 5:].min() == 1


def test_answers_are_measured_at_the_size_of_the_masks(data):
    task, answers, targets = truth_of(data)
    assert task.document(answers, targets, data.classes)["metrics"]["mean_iou"]["value"] == 1.0
    _, small, _ = truth_of(data, size=(12, 16))
    assert 0.8 < task.document(small, targets, data.classes)["metrics"]["mean_iou"]["value"] <= 1.0


def test_a_prediction_is_a_mask_of_the_image_in_the_values_of_the_data(data, tmp_path):
    task, answers, _ = truth_of(data, size=(12, 16))
    paths = data.splits["train"].inputs
    made = task.predictions(answers, data.classes, paths)
    image = Image.open(io.BytesIO(base64.b64decode(made[0]["mask"].partition(",")[2])))
    assert image.size == (32, 24) and image.mode == "P" and set(np.unique(np.asarray(image)).tolist()) == {0, 255}
    assert made[0]["label"] == "background" and sum(row["share"] for row in made[0]["shares"]) == pytest.approx(1.0)
    files = written(made, tmp_path / "out")
    assert [Path(row["mask"]).name for row in files] == [f"{i:03}.png" for i in range(4)]
    assert Image.open(files[0]["mask"]).size == (32, 24)
    twice = written([made[0], made[0]], tmp_path / "twice")
    assert [Path(row["mask"]).name for row in twice] == ["000.png", "000-2.png"]
    with pytest.raises(RequestError, match="does not answer with masks"):
        written([{"input": "a", "label": "b"}], tmp_path)


def test_the_worst_images_are_shown_with_truth_and_answer(data):
    task, answers, _ = truth_of(data)
    answers[2] = 1 - answers[2]
    (shown,) = errors_shown(task, answers, data.splits["train"], data.classes)
    assert shown["input"] == "002.png" and shown["beside"] == ["the truth", "the answer"]
    strip = Image.open(io.BytesIO(base64.b64decode(shown["image"].partition(",")[2])))
    assert strip.width > 3 * 32 and strip.height == 24


def test_an_image_without_a_mask_is_answered_all_the_same(data):
    split = unlabelled(data.splits["train"].inputs[:2], FORMS[NAME], 2)
    targets = encode(split, InputSpec(kind="image", size=(8, 8))).target_batch([0, 1])
    assert targets.shape == (2, 8, 8) and bool((targets == IGNORE).all())
