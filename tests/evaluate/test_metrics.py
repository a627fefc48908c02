"""Metrics are scikit-learn's numbers, with intervals that hold what they promise, also where there is little to go by."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn import metrics as sk

from regraft.errors import RequestError
from regraft.evaluate.metrics import NUM_BINS, classification
from regraft.spec import METRICS

NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")


def answers(n: int, k: int, *, skill: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, k) that favour the target by ``skill`` nats, and the targets (n,), unevenly spread."""
    rng = np.random.default_rng(seed)
    targets = np.minimum(rng.integers(k, size=n), rng.integers(k, size=n))
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), targets] += skill
    table = np.exp(scores)
    return table / table.sum(axis=1, keepdims=True), targets


def names(k: int) -> list[str]:
    return [f"class {i}" for i in range(k)]


def test_values_are_those_of_scikit_learn():
    table, targets = answers(500, 7)
    found = classification(table, targets, names(7))
    predicted = table.argmax(1)
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(targets, predicted))
    assert found["balanced_accuracy"].value == pytest.approx(sk.balanced_accuracy_score(targets, predicted))
    assert found["macro_f1"].value == pytest.approx(sk.f1_score(targets, predicted, average="macro"))
    assert found["log_loss"].value == pytest.approx(sk.log_loss(targets, table, labels=range(7)))


def test_calibration_error_is_the_weighted_gap_of_the_bins():
    table, targets = answers(400, 3)
    sure, right = table.max(1), table.argmax(1) == targets
    expected = 0.0
    for i in range(NUM_BINS):
        inside = (sure > i / NUM_BINS) & (sure <= (i + 1) / NUM_BINS)
        expected += abs(sure[inside].sum() - right[inside].sum()) / 400
    assert classification(table, targets, names(3))["calibration_error"].value == pytest.approx(expected)


def test_a_class_absent_from_the_split_counts_nowhere_unless_it_was_predicted():
    table = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1]])
    found = classification(table, np.array([0, 1, 0]), names(3))
    assert found["balanced_accuracy"].value == 1.0
    assert found["macro_f1"].value == 1.0
    table[2] = [0.1, 0.1, 0.8]  # now the absent class is called once
    found = classification(table, np.array([0, 1, 0]), names(3))
    assert found["balanced_accuracy"].value == pytest.approx((0.5 + 1.0) / 2)
    assert found["macro_f1"].value == pytest.approx(sk.f1_score([0, 1, 0], [0, 1, 2], average="macro"))


def test_every_metric_is_known_inside_its_interval_and_counts_its_examples():
    table, targets = answers(60, 12)
    found = classification(table, targets, names(12))
    assert tuple(found) == NAMES
    assert set(found) <= set(METRICS)
    for metric in found.values():
        assert metric.low < metric.value < metric.high
        assert metric.n == 60


def test_the_interval_of_accuracy_agrees_with_theory():
    table, targets = answers(1000, 4, skill=1.5)
    metric = classification(table, targets, names(4))["accuracy"]
    half = 1.96 * np.sqrt(metric.value * (1 - metric.value) / 1000)
    assert metric.high - metric.value == pytest.approx(half, rel=0.15)
    assert metric.value - metric.low == pytest.approx(half, rel=0.15)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    table, targets = answers(50_000, 3, seed=99)
    truth = sk.f1_score(targets, table.argmax(1), average="macro")
    inside = 0
    for seed in range(60):
        metric = classification(*answers(150, 3, seed=seed), names(3))["macro_f1"]
        inside += metric.low <= truth <= metric.high
    assert inside >= 51


def test_all_correct_is_not_taken_for_certainty():
    table = np.tile([0.9, 0.1], (20, 1))
    metric = classification(table, np.zeros(20, dtype=int), names(2))["accuracy"]
    assert (metric.value, metric.high) == (1.0, 1.0)
    assert metric.low == pytest.approx(0.025 ** (1 / 20))


def test_all_wrong_is_not_taken_for_certainty_either():
    table = np.tile([0.9, 0.1], (20, 1))
    metric = classification(table, np.ones(20, dtype=int), names(2))["accuracy"]
    assert (metric.value, metric.low) == (0.0, 0.0)
    assert metric.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_one_example_gives_numbers_and_a_wide_interval():
    found = classification(np.array([[0.7, 0.3]]), np.array([0]), names(2))
    assert found["accuracy"].low == pytest.approx(0.025)
    assert all(np.isfinite([m.value, m.low, m.high]).all() for m in found.values())


def test_a_probability_of_zero_for_the_target_stays_finite():
    found = classification(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1]), names(2))
    assert found["log_loss"].value == pytest.approx(-np.log(np.finfo(np.float32).eps) / 2)


def test_the_same_seed_gives_the_same_intervals():
    table, targets = answers(100, 5)
    assert classification(table, targets, names(5), seed=3) == classification(table, targets, names(5), seed=3)
    assert classification(table, targets, names(5), seed=3) != classification(table, targets, names(5), seed=4)


def test_a_split_of_the_size_of_banking77_takes_well_under_three_seconds():
    table, targets = answers(3080, 77)
    started = time.process_time()
    classification(table, targets, names(77))
    assert time.process_time() - started < 3.0


@pytest.mark.parametrize(
    ("table", "targets", "message"),
    [
        (np.empty((0, 2)), [], "measure 0 examples in 2 classes\nfound: the split is empty"),
        (np.ones((1, 3)) / 3, [0], r"probabilities of shape \(1, 3\)\ntry:   probabilities \(1, 2\)"),
        (np.ones((1, 2)) / 2, [2], "targets from 2 to 2\ntry:   targets from 0 to 1"),
        (np.array([[3.0, -1.0]]), [0], "do not add up to 1\ntry:   probabilities rather than logits"),
        (np.array([[np.nan, 0.5]]), [0], "do not add up to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(table: np.ndarray, targets: list[int], message: str):
    with pytest.raises(RequestError, match=message):
        classification(table, np.array(targets, dtype=int), names(2))
