"""Metrics of numbers, sets and entities: scikit-learn's and scipy's definitions, intervals that cover, thresholds that are best."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as sk

from regraft.errors import RequestError
from regraft.evaluate import entities, least_squares, linear, multilabel, regression
from regraft.evaluate.compare import by_metric
from regraft.evaluate.measure import measured, values_of

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=80).round(1)
CALLED = TRUE + RNG.normal(scale=0.5, size=80)
SETS = (RNG.random((120, 4)) < (0.5, 0.3, 0.1, 0.02)).astype(np.float32)
SETS[:2, 3] = 1  # a label that hardly occurs
SURE = np.clip(0.5 * SETS + RNG.random((120, 4)) * 0.6, 0, 1)


def test_numbers_are_measured_as_scikit_learn_and_scipy_do():
    found = values_of(regression.statistics(CALLED, TRUE), 80)
    assert found["r2"] == pytest.approx(sk.r2_score(TRUE, CALLED))
    assert found["spearman"] == pytest.approx(spearmanr(TRUE, CALLED).statistic)
    assert found["pearson"] == pytest.approx(np.corrcoef(TRUE, CALLED)[0, 1])
    assert found["mean_absolute_error"] == pytest.approx(np.abs(TRUE - CALLED).mean())


def test_intervals_hold_the_value_and_stay_within_bounds():
    for name, metric in measured(regression.statistics(CALLED, TRUE), 80).items():
        assert metric.low < metric.value < metric.high and (name not in ("spearman", "pearson") or metric.high <= 1)


def test_a_resample_of_equal_targets_is_no_division_by_zero():
    assert values_of(regression.statistics(np.array([1.0, 2.0]), np.array([3.0, 3.0])), 2)["r2"] == 0.0
    with pytest.raises(RequestError, match="1 of them not finite"):
        regression.statistics(np.array([np.nan, 1.0]), np.zeros(2))


def test_sets_are_measured_as_scikit_learn_does():
    thresholds = np.full(4, 0.6)
    given = SURE >= 0.6
    found = values_of(multilabel.statistics(SURE, SETS, thresholds), 120)
    assert found["micro_f1"] == pytest.approx(sk.f1_score(SETS, given, average="micro", zero_division=0))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(SETS, given, average="macro", zero_division=0))
    assert found["mean_average_precision"] == pytest.approx(sk.average_precision_score(SETS, SURE, average="macro"))
    assert found["exact_match"] == pytest.approx(sk.accuracy_score(SETS, given))
    rows = multilabel.document(SURE, SETS, thresholds, list("abcd"))["per_class"]
    assert [row["average_precision"] for row in rows] == pytest.approx(sk.average_precision_score(SETS, SURE, average=None))


def test_mean_average_precision_of_a_resample_is_that_of_the_rows_drawn():
    drawn = RNG.integers(120, size=(1, 120))
    found = multilabel.statistics(SURE, SETS, np.full(4, 0.5))["mean_average_precision"](drawn)[0]
    occurring = SETS[drawn[0]].any(axis=0)
    assert found == pytest.approx(
        sk.average_precision_score(SETS[drawn[0]][:, occurring], SURE[drawn[0]][:, occurring], average="macro"), abs=1e-3
    )


def test_thresholds_are_the_best_there_are():
    found = multilabel.best_thresholds(SURE, SETS)
    for label in range(3):
        best = sk.f1_score(SETS[:, label], SURE[:, label] >= found[label])
        assert best >= max(sk.f1_score(SETS[:, label], SURE[:, label] >= t, zero_division=0) for t in np.linspace(0.01, 0.99, 99)) - 1e-9
    assert SETS[:, 3].sum() < multilabel.FEW_POSITIVES and found[3] not in found[:3], (
        "a rare label takes the threshold of all labels together"
    )


def test_entities_are_right_in_type_and_both_ends_or_wrong():
    true = [[("per", 0, 1), ("loc", 3, 3)], [("per", 2, 2)], []]
    called = [[("per", 0, 1), ("loc", 3, 4)], [("org", 2, 2)], []]
    found = entities.document(called, true, {})
    assert found["metrics"]["entity_f1"]["value"] == pytest.approx(1 / 3)
    assert {row["class"]: row["f1"] for row in found["per_class"]} == {"loc": 0.0, "org": 0.0, "per": pytest.approx(2 / 3)}


def test_a_model_that_is_worse_by_any_metric_is_called_so():
    worse = CALLED + RNG.normal(scale=2.0, size=80)
    statistics = [regression.statistics(each, TRUE) for each in (CALLED, worse)]
    quality = -np.abs(CALLED - TRUE), -np.abs(worse - TRUE)
    verdict = by_metric("r2", (statistics[0]["r2"], statistics[1]["r2"]), quality)
    assert verdict.verdict == "better" and verdict.wins > verdict.losses and verdict.metric == "r2"
    errors = statistics[1]["mean_absolute_error"], statistics[0]["mean_absolute_error"]
    assert by_metric("mean_absolute_error", errors, quality[::-1]).verdict == "worse", "lower is better"
    assert by_metric("r2", (statistics[0]["r2"], statistics[0]["r2"]), (quality[0], quality[0])).verdict == "tie"


def test_ridge_finds_the_line_and_stands_a_constant_feature():
    x = RNG.normal(size=(200, 3)).astype(np.float32)
    x[:, 2] = 1e-20
    weights, bias = least_squares.fit(x, 2 * x[:, 0] - x[:, 1] + 3)
    assert weights[0, :2] == pytest.approx([2, -1], abs=1e-2) and bias[0] == pytest.approx(3, abs=1e-2)
    assert abs(weights[0, 2]) < 1


def test_sets_are_solved_as_so_many_questions():
    x = RNG.normal(size=(300, 4)).astype(np.float32)
    y = np.stack([x[:, 0] > 0, x[:, 1] > 0.5], axis=1).astype(np.float32)
    found = linear.fit_sets(x, y)
    assert ((x @ found.weights.T + found.bias > 0) == (y > 0.5)).mean() > 0.95
    assert found.held_out.shape == (300, 2)
