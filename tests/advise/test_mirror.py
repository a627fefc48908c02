"""Mirroring: images whose class survives it, and images whose class is their side."""

from __future__ import annotations

import numpy as np

from advise.outlines import convolutions
from regraft.advise import mirror
from regraft.advise.facts import Facts
from regraft.advise.strategy import choose

N = 200


def looks(*, handed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, 6) as they are and mirrored, and two classes. What is seen of a side changes place when mirrored; handed classes differ in their side."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % 2
    upright = rng.normal(size=(N, 6)).astype(np.float32)
    upright[np.arange(N), y if handed else 4 + y] += 4
    mirrored = upright.copy()
    mirrored[:, :2] = upright[:, 1::-1]
    return upright, mirrored, y


def test_classes_that_are_a_side_are_lost_when_mirrored():
    upright, mirrored, y = looks(handed=True)
    found = mirror.upright_against_mirrored(upright, mirrored, y, num_classes=2)
    assert found.difference.low > 0.9 and found.difference.n == N


def test_classes_that_are_no_side_are_not():
    upright, mirrored, y = looks(handed=False)
    found = mirror.upright_against_mirrored(upright, mirrored, y, num_classes=2)
    assert found.difference.low <= 0 <= found.difference.high


def test_copies_of_an_image_stay_in_one_half():
    """Features that say nothing but which image it is: known by heart where a copy was seen, and only then."""
    rng = np.random.default_rng(0)
    once = 3 * rng.normal(size=(40, 60)).astype(np.float32)
    copies, y = np.repeat(once, 2, axis=0), np.repeat(rng.integers(0, 2, 40), 2)
    other = 3 * rng.normal(size=copies.shape).astype(np.float32)
    known = mirror.upright_against_mirrored(copies, other, y, num_classes=2, groups=np.arange(80))
    apart = mirror.upright_against_mirrored(copies, other, y, num_classes=2, groups=np.repeat(np.arange(40), 2))
    assert known.difference.value > apart.difference.value + 0.15


def test_a_sample_is_all_of_few_images_and_some_of_many():
    assert mirror.sample(5, seed=0).tolist() == [0, 1, 2, 3, 4]
    many = mirror.sample(10_000, seed=0)
    assert len(many) == mirror.MOST and (np.diff(many) > 0).all()


def test_images_that_are_lost_when_mirrored_are_not_shown_mirrored():
    targets = np.arange(600) % 26
    plain = choose(Facts.of(targets, 26, kind="image"), convolutions())
    letters = choose(Facts.of(targets, 26, kind="image", mirror_loss=0.13), convolutions())
    assert dict(plain.settings.augment) == {"crop": 8, "flip": True}
    assert dict(letters.settings.augment) == {"crop": 8}
    assert (
        "augmentation crop, not flip: of mirrored images a head on frozen features names 13.0 points fewer right, so left and right mean something"
        in letters.reasons
    )
