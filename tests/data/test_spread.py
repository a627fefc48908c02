"""A few texts that stand for all of a split."""

from __future__ import annotations

import numpy as np

from regraft.data.dataset import unlabelled
from regraft.data.spread import spread
from regraft.spec import FORMS


def split_of(texts: list[str]):
    return unlabelled(texts, FORMS["text-classification"], 2)


def test_short_and_long_texts_come_in_their_proportion() -> None:
    lengths = np.random.default_rng(0).lognormal(3, 1, 5_000).astype(int) + 1
    some = spread(split_of(["x" * length for length in lengths]), 200)
    found = np.array([len(text) for text in some.inputs])
    assert len(some) == 200
    assert abs(found.mean() / lengths.mean() - 1) < 0.03, "of 200 drawn at random the mean would be off by a tenth"
    assert np.abs(np.quantile(found, [0.1, 0.5, 0.9]) / np.quantile(lengths, [0.1, 0.5, 0.9]) - 1).max() < 0.05


def test_rows_stay_in_their_order_and_none_comes_twice() -> None:
    texts = [f"{i} " + "y" * (i % 7) for i in range(1_000)]
    found = [int(text.split()[0]) for text in spread(split_of(texts), 64).inputs]
    assert found == sorted(set(found)) and len(found) == 64


def test_a_few_rows_are_all_of_them() -> None:
    split = split_of(["a", "b"])
    assert spread(split, 2) is split
