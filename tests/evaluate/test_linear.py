"""The linear probe's solver: the optimum, a sensible strength, honest held-out answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from regraft.errors import RequestError
from regraft.evaluate import linear
from regraft.surgery.heads import LinearHead


def blobs(n: int, d: int, k: int, *, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) around k centres, on very different scales, with one feature that never changes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(k, d))
    targets = np.arange(n) % k
    features = (centres[targets] + spread * rng.normal(size=(n, d))) * np.logspace(-2, 2, d) + 5.0
    features[:, 0] = 7.0
    return features.astype(np.float32), targets


def test_it_reaches_the_optimum_that_scikit_learn_reaches():
    x, y = blobs(300, 8, 3, spread=2.0)
    found = linear.fit(x, y, num_classes=3)
    peer = LogisticRegression(C=found.c, max_iter=5000, tol=1e-8).fit((x - found.mean) / found.scale, y)
    expected = peer.decision_function((x - found.mean) / found.scale)
    got = x @ found.weights.T + found.bias
    assert np.abs((got - got.mean(1, keepdims=True)) - (expected - expected.mean(1, keepdims=True))).max() < 0.02


def test_two_classes_work_like_any_number():
    x, y = blobs(200, 6, 2, spread=0.4)
    found = linear.fit(x, y, num_classes=2)
    assert found.weights.shape == (2, 6)
    assert ((x @ found.weights.T + found.bias).argmax(1) == y).mean() > 0.95


def test_a_linear_head_on_raw_features_says_the_same():
    x, y = blobs(200, 6, 4)
    found = linear.fit(x, y, num_classes=4)
    head = LinearHead(6, 4)
    head.linear.weight.data, head.linear.bias.data = torch.from_numpy(found.weights), torch.from_numpy(found.bias)
    standardised = ((x - found.mean) / found.scale) @ (found.weights * found.scale).T + found.bias + found.weights @ found.mean
    assert np.abs(head(torch.from_numpy(x)).detach().numpy() - standardised).max() < 1e-2


def test_a_feature_that_hardly_varies_is_not_blown_up():
    x, y = blobs(200, 6, 2, spread=0.4)
    x = ((x - x.mean(0)) / np.maximum(x.std(0), 1.0)).astype(np.float32)
    x[:, 3] *= 1e-5
    found = linear.fit(x, y, num_classes=2)
    assert np.abs(found.weights[:, 3]).max() < 100 * np.abs(found.weights[:, [1, 2, 4, 5]]).max()


def test_noise_gets_strong_regularisation_and_clear_data_weak():
    x, y = blobs(200, 20, 4)
    clear = linear.fit(x, y, num_classes=4)
    noise = linear.fit(x, np.random.default_rng(0).permutation(y), num_classes=4)
    assert noise.c < clear.c


def test_held_out_answers_are_honest():
    x, y = blobs(150, 60, 3)
    shuffled = np.random.default_rng(0).permutation(y)
    found = linear.fit(x, shuffled, num_classes=3)
    accuracy = (found.held_out.argmax(1) == shuffled[found.rows]).mean()
    assert 0.15 < accuracy < 0.5  # chance is a third; the fit itself would say more
    assert np.allclose(found.held_out.sum(1), 1.0, atol=1e-5)


def test_duplicates_of_one_group_are_not_held_out_from_each_other():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(40, 30)).astype(np.float32), 4, axis=0)
    y = np.repeat(rng.integers(2, size=40), 4)
    leaking = linear.fit(x, y, num_classes=2)
    honest = linear.fit(x, y, num_classes=2, groups=np.repeat(np.arange(40), 4))
    assert (leaking.held_out.argmax(1) == y).mean() > 0.95
    assert (honest.held_out.argmax(1) == y).mean() < 0.75


def test_folds_hold_every_class_in_its_share_and_groups_whole():
    targets, groups = np.repeat([0, 1], [50, 100]), np.arange(150) // 2
    fold = linear.folds(targets, groups, seed=0)
    assert all(len(set(fold[groups == g])) == 1 for g in range(75))
    for f in range(5):
        assert (targets[fold == f] == 0).sum() == 10
        assert (targets[fold == f] == 1).sum() == 20


def test_a_class_of_a_single_example_is_no_obstacle():
    x, y = blobs(61, 5, 3)
    y = np.where(y == 2, 1, y)
    y[-1] = 2
    assert linear.fit(x, y, num_classes=3).weights.shape == (3, 5)


def test_many_examples_pick_the_strength_on_a_part_and_fit_on_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(linear, "MOST_EXAMPLES", 90)
    x, y = blobs(300, 5, 3)
    found = linear.fit(x, y, num_classes=3)
    assert 80 <= len(found.rows) <= 90
    assert np.bincount(y[found.rows]).min() >= 29
    assert len(found.held_out) == len(found.rows)


def test_the_same_seed_gives_the_same_bits():
    x, y = blobs(120, 6, 3)
    a, b = linear.fit(x, y, num_classes=3, seed=1), linear.fit(x, y, num_classes=3, seed=1)
    assert a.c == b.c
    assert a.weights.tobytes() == b.weights.tobytes()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((3, 2)), [0, 1], r"a linear probe on features \(3, 2\)\nfound: 2 targets and 2 groups"),
        (np.ones((1, 2)), [0], "no example could be held out\ntry:   at least two examples"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), [0, 1], "1 examples with features that are not finite"),
    ],
)
def test_what_cannot_be_solved_is_refused_with_the_reason(x: np.ndarray, y: list[int], message: str):
    with pytest.raises(RequestError, match=message):
        linear.fit(x.astype(np.float32), np.array(y), num_classes=2)
