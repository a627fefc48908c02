"""Two models on the same examples: is one better, or is the difference inside the noise?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RequestError
from regraft.evaluate.bootstrap import LEVEL, NUM_RESAMPLES, Statistic, interval, resamples
from regraft.spec import LOWER_IS_BETTER, Metric

Call = Literal["better", "worse", "tie"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``verdict``: the first against the second. ``difference``: its accuracy (``metric``) minus the other's, with the 95% interval.

    ``p_value``: two-sided, exact McNemar for accuracy, else from the resamples. ``wins`` and ``losses``: examples that only the first, only the
    second got right, or got closer to the truth.
    """

    verdict: Call
    difference: Metric
    p_value: float
    wins: int
    losses: int
    metric: str = "accuracy"

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "difference": self.difference.json()}

    def __str__(self) -> str:
        difference = self.difference
        return f"{self.verdict}: {difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}], p = {self.p_value:.3g}"


def paired(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], *, seed: int = 0) -> Verdict:
    """The verdict on A against B from which of the same n examples each got right, (n,) each, in the same order.

    Better or worse only where both agree: the paired bootstrap's interval leaves zero out, and the exact test of
    McNemar (1947) on the examples on which A and B differ stays below 0.05. Everything else is a tie.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise RequestError(
            "compare two models on the same examples", f"{a.shape} and {b.shape} answers", "one answer of each to each example"
        )
    n, wins, losses = len(a), int((a & ~b).sum()), int((b & ~a).sum())
    difference = _difference(n, wins, losses, seed)
    p_value = mcnemar(wins, losses)
    sure = not difference.low <= 0.0 <= difference.high and p_value < 1 - LEVEL
    verdict: Call = "tie" if not sure else "better" if wins > losses else "worse"
    return Verdict(verdict, difference, p_value, wins, losses)


def by_metric(
    name: str, statistics: tuple[Statistic, Statistic], quality: tuple[NDArray[np.floating], NDArray[np.floating]], *, seed: int = 0
) -> Verdict:
    """The verdict on A against B by any metric: its difference over resamples of the same examples (paired bootstrap).

    ``statistics``: the metric of A and of B; ``quality`` (n,) each: how good either answer to each example is, which counts wins and losses.
    The p-value is twice the share of resamples on the other side of zero, at least 1 in their number.
    """
    a, b = statistics
    n, sign = len(quality[0]), -1.0 if name in LOWER_IS_BETTER else 1.0
    if not n or len(quality[1]) != n:
        raise RequestError(
            "compare two models on the same examples", f"{n} and {len(quality[1])} answers", "one answer of each to each example"
        )
    whole = np.arange(n)[None, :]
    draws = np.concatenate([a(rows) - b(rows) for rows in resamples(n, seed=seed)])
    difference = interval(float(a(whole)[0] - b(whole)[0]), draws, n)
    beyond = min(float(np.mean(draws <= 0)), float(np.mean(draws >= 0)))
    p_value = min(1.0, max(2 * beyond, 1 / len(draws)))
    sure = not difference.low <= 0.0 <= difference.high and p_value < 1 - LEVEL
    verdict: Call = "tie" if not sure else "better" if sign * difference.value > 0 else "worse"
    wins, losses = int((quality[0] > quality[1]).sum()), int((quality[0] < quality[1]).sum())
    return Verdict(verdict, difference, p_value, wins, losses, name)


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided probability of a split at least this uneven among the examples on which two equal models differ."""
    from scipy.special import bdtr

    if wins == losses:
        return 1.0
    return float(min(1.0, 2 * bdtr(min(wins, losses), wins + losses, 0.5)))


@lru_cache(maxsize=1 << 12)
def _difference(n: int, wins: int, losses: int, seed: int) -> Metric:
    """Each example gives +1, -1 or 0, so a resample is one draw of three counts. Remembered: most of many classes differ alike."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, (wins / n, losses / n, (n - wins - losses) / n), size=NUM_RESAMPLES)
    return interval((wins - losses) / n, (counts[:, 0] - counts[:, 1]) / n, n)
