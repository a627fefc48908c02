from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.data.batching import evaluation_batches, padding_fraction, training_batches

SIZES = {"n": st.integers(0, 700), "batch_size": st.integers(1, 40)}


def some_lengths(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 60, size=n).astype(np.int32)


@settings(max_examples=80, deadline=None)
@given(**SIZES, seed=st.integers(-5, 2**40), epoch=st.integers(0, 9), by_length=st.booleans())
def test_an_epoch_holds_each_row_once_and_never_a_lone_one(n: int, batch_size: int, seed: int, epoch: int, by_length: bool) -> None:
    lengths = some_lengths(n, 0) if by_length else None
    batches = training_batches(n, batch_size, seed=seed, epoch=epoch, lengths=lengths)
    assert sorted(np.concatenate([np.zeros(0, int), *batches]).tolist()) == list(range(n))
    sizes = sorted(len(batch) for batch in batches)
    assert all(size <= batch_size + 1 for size in sizes)
    assert sum(size != batch_size for size in sizes) <= 1
    if batch_size > 1 and n > 1:
        assert 1 not in sizes


@settings(max_examples=40, deadline=None)
@given(**SIZES, seed=st.integers(0, 2**40), epoch=st.integers(0, 9), by_length=st.booleans())
def test_the_same_seed_and_epoch_give_the_same_batches(n: int, batch_size: int, seed: int, epoch: int, by_length: bool) -> None:
    lengths = some_lengths(n, 1) if by_length else None
    first, second = (training_batches(n, batch_size, seed=seed, epoch=epoch, lengths=lengths) for _ in range(2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


@pytest.mark.parametrize("by_length", [False, True])
def test_epochs_and_seeds_differ(by_length: bool) -> None:
    lengths = some_lengths(500, 2) if by_length else None
    orders = {
        tuple(np.concatenate(training_batches(500, 16, seed=seed, epoch=epoch, lengths=lengths)).tolist())
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]
    }
    assert len(orders) == 4


def test_batches_by_length_hold_different_rows_in_each_epoch_even_in_small_sets() -> None:
    lengths = some_lengths(400, 3)
    first, second = (training_batches(400, 32, seed=0, epoch=epoch, lengths=lengths) for epoch in (0, 1))
    assert not {frozenset(batch.tolist()) for batch in first} & {frozenset(batch.tolist()) for batch in second}


def test_rows_of_a_common_length_are_not_padded_and_rare_ones_mix_with_their_neighbours() -> None:
    lengths = np.concatenate([np.full(400, 10), np.full(400, 11), np.arange(100, 220)])
    epochs = [training_batches(len(lengths), 32, seed=0, epoch=epoch, lengths=lengths) for epoch in range(3)]
    for batches in epochs:
        common = [lengths[batch] for batch in batches if lengths[batch].max() <= 11]
        assert sum(np.ptp(found) > 0 for found in common) <= 1
    rare = [{frozenset(batch.tolist()) for batch in batches if lengths[batch].min() > 11} for batches in epochs]
    assert not rare[0] & rare[1] and not rare[1] & rare[2]


def test_the_batches_of_an_epoch_do_not_come_in_order_of_length() -> None:
    lengths = some_lengths(2000, 4)
    longest = [int(lengths[batch].max()) for batch in training_batches(2000, 20, seed=0, epoch=0, lengths=lengths)]
    assert longest != sorted(longest)


@settings(max_examples=80, deadline=None)
@given(**SIZES, budget=st.none() | st.integers(1, 500), by_length=st.booleans())
def test_evaluation_covers_each_row_once_within_its_limits(n: int, batch_size: int, budget: int | None, by_length: bool) -> None:
    lengths = some_lengths(n, 5) if by_length else None
    batches = evaluation_batches(n, batch_size, lengths=lengths, token_budget=budget)
    assert sorted(np.concatenate([np.zeros(0, int), *batches]).tolist()) == list(range(n))
    assert all(0 < len(batch) <= batch_size for batch in batches)
    if lengths is not None:
        tokens = [len(batch) * int(lengths[batch].max()) for batch in batches]
        assert all(budget is None or count <= budget or len(batch) == 1 for count, batch in zip(tokens, batches, strict=True))
        longest = [int(lengths[batch].max()) for batch in batches]
        assert longest == sorted(longest, reverse=True)


def test_padding_is_rare_on_real_lengths(shared_data: Path) -> None:
    with (shared_data / "banking77" / "train.csv").open(encoding="utf-8") as file:
        lengths = np.array([len(row["text"].split()) + 2 for row in csv.DictReader(file)])
    by_length = padding_fraction(training_batches(len(lengths), 32, seed=0, epoch=0, lengths=lengths), lengths)
    at_random = padding_fraction(training_batches(len(lengths), 32, seed=0, epoch=0), lengths)
    assert by_length < 0.025 < 0.5 < at_random
    few = lengths[np.random.default_rng(0).permutation(len(lengths))[:1540]]
    assert padding_fraction(training_batches(len(few), 32, seed=0, epoch=0, lengths=few), few) < 0.1


def test_padding_fraction_counts_what_is_added() -> None:
    assert padding_fraction([np.array([0, 1]), np.array([2])], np.array([2, 4, 9])) == pytest.approx(2 / 17)
