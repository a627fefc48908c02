"""The evaluate document: plain JSON whose parts agree with each other."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from regraft.evaluate import document

CLASSES = ["no", "yes", "perhaps"]
TABLE = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
TARGETS = np.array([0, 0, 1, 1])


def test_it_is_json_and_has_the_keys_of_the_design():
    made = document(TABLE, TARGETS, CLASSES)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["schema"] == 1
    assert made["num_examples"] == 4
    assert set(made["metrics"]["accuracy"]) == {"value", "low", "high", "n"}


def test_confusion_counts_targets_by_row_and_predictions_by_column():
    made = document(TABLE, TARGETS, CLASSES)["confusion"]
    assert made["classes"] == CLASSES
    assert made["matrix"] == sk.confusion_matrix(TARGETS, TABLE.argmax(1), labels=range(3)).tolist()


def test_each_class_has_its_rates_and_one_never_seen_has_none():
    no, yes, perhaps = document(TABLE, TARGETS, CLASSES)["per_class"]
    assert (no["class"], no["support"]) == ("no", 2)
    assert (no["precision"], no["recall"], no["f1"]) == (0.5, 0.5, 0.5)
    assert yes["recall"] == 0.5
    assert perhaps == {"class": "perhaps", "precision": None, "recall": None, "f1": None, "support": 0}


def test_calibration_bins_hold_every_example_once():
    bins = document(TABLE, TARGETS, CLASSES)["calibration"]
    assert len(bins) == 15
    assert sum(b["count"] for b in bins) == 4
    top = next(b for b in bins if b["low"] < 0.9 <= b["high"])
    assert top["confidence"] == pytest.approx(0.9)
    assert top["accuracy"] == 0.0
    assert bins[0]["confidence"] is None
