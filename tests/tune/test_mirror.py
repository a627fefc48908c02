"""A plan that was probed shows images mirrored only where their class survives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regraft as rg


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes: something bright on the left, something bright on the right."""
    folder, rng = tmp_path_factory.mktemp("sides"), np.random.default_rng(0)
    for label in ("left", "right"):
        for split, count in (("train", 40), ("test", 8)):
            (folder / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 90, (32, 32, 3), dtype=np.uint8)
                column = int(rng.integers(2, 8)) + (0 if label == "left" else 16)
                pixels[8:24, column : column + 7] = rng.integers(190, 255, 3)
                Image.fromarray(pixels).save(folder / split / label / f"{index}.png")
    return folder


def test_sides_are_not_mirrored_and_the_plan_says_why(sides, tmp_path):
    made = rg.plan(sides, model="bundled:vision", strategy="full", probe=True, store=tmp_path)
    assert "flip" not in dict(made.settings.augment)
    assert any("not flip" in reason for reason in made.reasons)


def test_who_asks_for_mirroring_gets_it(sides, tmp_path):
    made = rg.plan(sides, model="bundled:vision", strategy="full", probe=True, store=tmp_path, augment={"flip": 0.5})
    assert dict(made.settings.augment)["flip"] == 0.5


def test_a_handful_of_images_is_not_asked(tmp_path):
    """No head could be solved on a part of three images and measured on the rest."""
    for label, count in (("a", 2), ("b", 1)):
        for split in ("train", "test"):
            (tmp_path / "few" / split / label).mkdir(parents=True)
            for index in range(count):
                pixels = np.random.default_rng(7 * index + count + len(split)).integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "few" / split / label / f"{index}.png")
    made = rg.plan(tmp_path / "few", model="bundled:vision", strategy="full", probe=True, store=tmp_path / "store", valid_fraction=0.0)
    assert dict(made.settings.augment)["flip"]


def test_random_weights_are_not_asked(sides, tmp_path):
    """Nor are pretrained ones, which may not be at hand."""
    made = rg.plan(sides, model="timm:resnet10t", strategy="scratch", probe=True, store=tmp_path, input_size=32)
    assert dict(made.settings.augment)["flip"]


def test_a_plan_that_was_not_probed_takes_it_for_granted(sides, tmp_path):
    assert dict(rg.plan(sides, model="bundled:vision", strategy="full", store=tmp_path).settings.augment)["flip"]
