"""The probe: an honest measure of what features know."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from regraft.advise.probe import probe


def features(n: int, *, signal: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, 10) in which four classes are ``signal`` standard deviations apart, and targets (n,)."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 4
    x = rng.normal(size=(n, 10))
    x[np.arange(n), targets] += signal
    return x.astype(np.float32), targets


def test_its_accuracy_foretells_that_on_new_examples():
    x, y = features(400, signal=2.5)
    found = probe(x, y, seed=0)
    new_x, new_y = features(4000, signal=2.5, seed=1)
    truth = ((new_x @ found.weights.T + found.bias).argmax(1) == new_y).mean()
    assert found.cv_accuracy.low <= truth <= found.cv_accuracy.high
    assert found.cv_accuracy.n == 400


def test_features_without_signal_are_found_out():
    x, y = features(400, signal=0.0)
    assert probe(x, y, seed=0).cv_accuracy.low < 0.25 < probe(x, y, seed=0).cv_accuracy.high + 0.05


def test_held_out_answers_belong_to_their_rows():
    x, y = features(80, signal=3.0)
    found = probe(x, y, seed=0)
    assert np.array_equal(found.cv_correct, found.cv_predictions == y[found.rows])
    assert found.cv_accuracy.value == pytest.approx(found.cv_correct.mean())


def test_a_class_that_is_absent_keeps_its_row():
    x, y = features(80, signal=3.0)
    assert probe(x, y, seed=0, num_classes=6).weights.shape == (6, 10)


def test_it_tells_the_intents_of_real_questions_apart(shared_data: Path):
    """Bags of words of banking77, hashed: crude features, and still far above chance (1 in 12)."""
    with (shared_data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["label"] for row in rows})[:12]
    rows = [row for row in rows if row["label"] in names][::3]
    x = np.zeros((len(rows), 128), np.float32)
    for i, row in enumerate(rows):
        for word in row["text"].lower().split():
            x[i, sum(ord(letter) * 31**place for place, letter in enumerate(word)) % 128] += 1
    found = probe(x, np.array([names.index(row["label"]) for row in rows]), seed=0)
    assert 0.5 < found.cv_accuracy.value < 0.99
    assert found.seconds < 30
