"""A symmetric (n, n) matrix as one row of n (n + 1) / 2 doubles: LAPACK's rectangular full packed form (Gustavson et al. 2010, ACM TOMS 37:2).

Half the memory of a square, and unlike a packed triangle it is added to, factored and written down as it lies, at the speed of matrix products.
Here always the lower triangle, untransposed: the left half of its columns stands as it is, what is left of the right half fills the corner above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def zeros(size: int) -> Doubles:
    return np.zeros(size * (size + 1) // 2)


def size_of(row: Doubles) -> int:
    """n, the number of the matrix's rows."""
    return int((np.sqrt(8 * len(row) + 1) - 1) / 2)


def add_products(row: Doubles, examples: Doubles) -> None:
    """Add ``examples.T @ examples`` of (k, n) in place."""
    from scipy.linalg.lapack import dsfrk

    count, size = examples.shape
    if count:
        dsfrk(size, count, 1.0, np.asfortranarray(examples.T), 1.0, row, transr="N", uplo="L", trans="N", overwrite_c=1)


def leading(row: Doubles, size: int) -> Doubles:
    """(size, size) the matrix that the first rows and columns make, as a symmetric whole."""
    whole, columns = size_of(row), (size_of(row) + 1) // 2
    if size <= columns:
        shift = 1 - whole % 2
        lower = row.reshape(-1, columns, order="F")[shift : shift + size, :size]
    else:
        from scipy.linalg.lapack import dtfttr

        lower = dtfttr(whole, row, transr="N", uplo="L")[0][:size, :size]
    return np.tril(lower) + np.tril(lower, -1).T


def solve(row: Doubles, right: Doubles, *, ridge: float) -> Doubles:
    """(n, k) the solution X of (matrix + ridge) X = right (n, k) for a matrix without negative eigenvalues; ``row`` is used up."""
    from scipy.linalg.lapack import dpftrf, dpftrs

    size = size_of(row)
    row[_diagonal(size)] += ridge
    factor, failed = dpftrf(size, row, transr="N", uplo="L", overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError(f"the leading minor of order {failed} is not positive")
    solution: Doubles = dpftrs(size, factor, right, transr="N", uplo="L")[0]
    return solution


def _diagonal(size: int) -> NDArray[np.intp]:
    """(n,) where in a row the diagonal lies."""
    shift, left = 1 - size % 2, np.arange((size + 1) // 2)
    height, right = size + shift, np.arange(size // 2)
    return np.concatenate([left * (height + 1) + shift, (right + 1 - shift) * height + right])
