"""A linear map from fixed features to a number, solved to its optimum: ridge regression, its strength by leave-one-out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regraft.evaluate.linear import scale_of

STRENGTHS = np.logspace(-2, 5, 15)
"""Penalties tried on standardised features (Hoerl and Kennard 1970)."""

Floats = NDArray[np.float32]


def fit(features: Floats, targets: NDArray[np.floating], *, restraint: float = 1.0) -> tuple[Floats, Floats]:
    """Weights (1, d) and bias (1,) on raw ``features`` (n, d) for ``targets`` (n,).

    ``restraint``: the final weights are regularised so many times as strongly as leave-one-out finds best.
    """
    from sklearn.linear_model import Ridge, RidgeCV

    x, y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    mean, scale = x.mean(axis=0), scale_of(x.std(axis=0))
    x = (x - mean) / scale
    found = Ridge(alpha=RidgeCV(alphas=STRENGTHS).fit(x, y).alpha_ * restraint).fit(x, y)
    weights = found.coef_ / scale
    bias = found.intercept_ - weights @ mean
    return weights[None].astype(np.float32), np.atleast_1d(bias).astype(np.float32)
