"""Sums are exact: order, addition and removal leave no trace; and the ridge they give is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.errors import RequestError
from regraft.evaluate import sums as ridge
from regraft.evaluate.sums import Sums

CLASSES = 4


def lift(features):
    rng = np.random.RandomState(7)
    return np.maximum(features.astype(np.float64) @ rng.standard_normal((6, 20)), 0.0)


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    targets = rng.integers(CLASSES, size=200)
    features = rng.normal(size=(200, 6)).astype(np.float32)
    features[np.arange(200), targets] += 2.0
    return features, targets, rng.integers(0, 1 << 60, size=200).astype(np.uint64)


def summed(examples, rows=slice(None), **options):
    features, targets, keys = (part[rows] for part in examples)
    return Sums.of(features, targets, keys, lift=lift, num_classes=CLASSES, **options)


def test_any_order_gives_the_same_classifier(examples):
    shuffled = np.random.default_rng(1).permutation(200)
    one, other = ridge.solve(summed(examples)), ridge.solve(summed(examples, shuffled))
    assert one.strength == other.strength
    assert np.abs(one.weights - other.weights).max() < 1e-9


def test_adding_in_steps_equals_all_at_once(examples):
    steps = summed(examples, slice(0, 50)) + summed(examples, slice(50, 120)) + summed(examples, slice(120, 200))
    assert np.abs(ridge.solve(steps).weights - ridge.solve(summed(examples)).weights).max() < 1e-9


@pytest.mark.parametrize("means", [False, True])
def test_a_copy_takes_examples_in_place_and_leaves_the_original(examples, means):
    old = summed(examples, slice(0, 120), means=means)
    features, targets, keys = (part[120:] for part in examples)
    more = old.copied().taking(features, targets, keys, lift=lift)
    assert np.abs(ridge.solve(more).weights - ridge.solve(summed(examples, means=means)).weights).max() < 1e-9
    assert old.counts.sum() == 120
    assert (ridge.solve(old).weights == ridge.solve(summed(examples, slice(0, 120), means=means)).weights).all()


@pytest.mark.parametrize("means", [False, True])
def test_what_is_removed_was_never_seen(examples, means):
    left = summed(examples, means=means) - summed(examples, slice(120, 200), means=means)
    never = summed(examples, slice(0, 120), means=means)
    assert (left.counts == never.counts).all()
    assert np.abs(ridge.solve(left).weights - ridge.solve(never).weights).max() < 1e-9


def test_the_solution_is_that_of_ridge_regression(examples):
    from sklearn.linear_model import Ridge

    found = ridge.solve(summed(examples))
    features, targets, _ = examples
    reference = Ridge(alpha=found.strength, fit_intercept=False).fit(lift(features), np.eye(CLASSES)[targets])
    assert np.abs(found.weights * found.error - reference.coef_).max() < 1e-8


def test_the_strength_is_the_one_that_predicts_the_held_out_fifth_best(examples):
    features, targets, keys = examples
    held = keys % np.uint64(ridge.HELD_OUT) == 0
    errors = []
    for strength in ridge.STRENGTHS:
        z, onehot = lift(features), np.eye(CLASSES)[targets]
        weights = np.linalg.solve(z[~held].T @ z[~held] + strength * np.eye(20), z[~held].T @ onehot[~held])
        errors.append(((z[held] @ weights - onehot[held]) ** 2).mean())
    strength, error = ridge.choose(summed(examples))
    assert strength == ridge.STRENGTHS[int(np.argmin(errors))]
    assert error == pytest.approx(np.sqrt(min(errors)))


def test_classes_come_and_go_by_column(examples):
    sums = summed(examples)
    wider = sums.with_classes([0, 1, 2, 3, None])
    assert wider.counts.tolist() == [*sums.counts.tolist(), 0]
    assert (wider.with_classes([0, 1, 2, 3]).rest.cross == sums.rest.cross).all()


def test_sums_survive_being_written_down(examples):
    sums = summed(examples)
    again = Sums.from_arrays(sums.arrays())
    assert (ridge.solve(again).weights == ridge.solve(sums).weights).all()


def test_nothing_to_solve_from_is_refused(examples):
    with pytest.raises(RequestError, match="no example is summed in it"):
        ridge.solve(summed(examples, slice(0, 0)))


def test_a_handful_of_examples_is_enough(examples):
    few = ridge.solve(summed(examples, np.flatnonzero(examples[2] % np.uint64(5) != 0)[:8]))
    assert few.error is None and np.isfinite(few.weights).all()
