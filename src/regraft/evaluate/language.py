"""How surely a model says what it should: perplexity of answers, and which of two answers it prefers.

| metric | of what each example gives |
|---|---|
| perplexity | exp of the negative log probability per token: 1 is certain of every token, v is as unsure as a guess among v tokens |
| preference_accuracy | the share of pairs whose chosen answer has gained more log probability against the reference than the rejected one; ties count half |

The reference is the model that training started from (Rafailov et al. 2023, 2305.18290: the implicit reward).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.evaluate.bootstrap import Array, Statistic
from regraft.evaluate.document import SCHEMA, nothing_of_classes
from regraft.evaluate.measure import mean, measured, summed

MOST = 700.0
"""exp of more than this is no finite number."""


def perplexity(costs: NDArray[np.floating], tokens: NDArray[np.floating]) -> Statistic:
    """Over the tokens of all examples: ``costs`` (n,) summed negative log probabilities of the ``tokens`` (n,) of each."""
    parts = np.stack([costs, tokens], axis=1).astype(np.float64)
    return summed(parts, lambda sums: np.exp(np.minimum(sums[:, 0] / np.maximum(sums[:, 1], 1), MOST)))


def preference_accuracy(margins: NDArray[np.floating]) -> Statistic:
    """``margins`` (n,): how much more the chosen answer has gained than the rejected one."""
    return mean(0.5 + 0.5 * np.sign(margins).astype(np.float64))


def document(statistics: Mapping[str, Statistic], num_examples: int, *, seed: int = 0) -> dict[str, Any]:
    """The ``evaluate`` document of these metrics."""
    found = measured(statistics, num_examples, seed=seed)
    return {
        "schema": SCHEMA,
        "num_examples": num_examples,
        "metrics": {name: metric.json() for name, metric in found.items()},
        **nothing_of_classes(),
    }


def per_token(costs: Array, tokens: Array) -> Array:
    """(n,) the cost of a token, 0 where an example has none."""
    return costs / np.maximum(tokens, 1)
