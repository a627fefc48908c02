"""Intersection over union from counts, against the definition; what counts for nothing; intervals over images."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from regraft.evaluate import segmentation as metrics
from regraft.evaluate.measure import values_of

VOID = 255


def drawn(images: int = 6, classes: int = 4):
    chance = np.random.default_rng(0)
    true = [chance.integers(0, classes, (9, 7)).astype(np.uint8) for _ in range(images)]
    called = [np.where(chance.random((9, 7)) < 0.6, truth, chance.integers(0, classes, (9, 7))) for truth in true]
    return called, true


def test_the_figures_are_those_of_the_definition():
    called, true = drawn()
    counts = metrics.counted(called, true, 4)
    flat = np.concatenate([one.ravel() for one in true]), np.concatenate([one.ravel() for one in called])
    found = values_of(metrics.statistics(counts), len(true))
    assert found["mean_iou"] == pytest.approx(jaccard_score(*flat, average="macro"))
    assert found["pixel_accuracy"] == pytest.approx(np.mean(flat[0] == flat[1]))
    rows = metrics.document(counts, ("a", "b", "c", "d"))["per_class"]
    assert [row["iou"]["value"] for row in rows] == pytest.approx(jaccard_score(*flat, average=None))
    assert all(row["iou"]["low"] < row["iou"]["value"] < row["iou"]["high"] for row in rows)


def test_pixels_that_count_for_nothing_are_left_out():
    called, true = drawn()
    blind = [one.copy() for one in true]
    for one in blind:
        one[:3] = VOID
    cut = metrics.counted([one[3:] for one in called], [one[3:] for one in true], 4)
    assert np.array_equal(metrics.counted(called, blind, 4), cut)


def test_a_class_that_does_not_occur_is_not_in_the_mean():
    true = [np.zeros((4, 4), np.uint8)]
    counts = metrics.counted(true, true, 3)
    assert values_of(metrics.statistics(counts), 1)["mean_iou"] == 1.0
    assert metrics.document(counts, ("a", "b", "c"))["per_class"][2]["iou"] is None
    assert metrics.quality(counts).tolist() == [1.0]


def test_an_image_all_void_spoils_nothing():
    called, true = drawn(2)
    true[1][:] = VOID
    assert 0 < values_of(metrics.statistics(metrics.counted(called, true, 4)), 2)["mean_iou"] < 1
