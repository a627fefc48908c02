"""A triangle in a row is the square that it stands for: added to, cut and solved with."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.evaluate import triangle


def made(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A triangle, and the examples that it sums the products of."""
    examples = np.random.default_rng(size).normal(size=(2 * size, size))
    row = triangle.zeros(size)
    triangle.add_products(row, examples[:size])
    triangle.add_products(row, examples[size:])
    triangle.add_products(row, examples[:0])
    return row, examples


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_every_leading_block_is_that_of_the_square(size):
    row, examples = made(size)
    square = examples.T @ examples
    assert triangle.size_of(row) == size
    for part in range(1, size + 1):
        assert np.allclose(triangle.leading(row, part), square[:part, :part], atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_the_ridge_lies_on_the_diagonal(size):
    row, examples = made(size)
    right = np.random.default_rng(0).normal(size=(size, 3))
    expected = np.linalg.solve(examples.T @ examples + 0.5 * np.eye(size), right)
    assert np.allclose(triangle.solve(row, right, ridge=0.5), expected, atol=1e-10)


def test_what_cannot_be_factored_says_where():
    with pytest.raises(np.linalg.LinAlgError, match="minor of order 1"):
        triangle.solve(triangle.zeros(3), np.ones((3, 1)), ridge=0.0)
