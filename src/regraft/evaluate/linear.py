"""A linear classifier on fixed features, solved to its optimum: the measure of what a trunk already knows.

    strong ------------ strengths tried, each start from the one before ------------> weak
    held-out log loss   1.9    0.8    0.42   0.31 *  0.33   0.36   stop

Multinomial logistic regression by L-BFGS over the whole feature matrix. The regularisation is picked by stratified
cross-validation. The result is given on raw features, so that a linear head takes the numbers as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from regraft.errors import RequestError

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Values of C tried, strong regularisation first: the loss is the summed log loss times C plus half the squared weights."""
PATIENCE = 2
"""Steps of the path without a better held-out loss after which it ends."""
MANY_EXAMPLES = 3_000
"""Above this, three folds instead of five."""
MOST_EXAMPLES = 20_000
"""At most so many examples take part in picking the strength; the final fit sees all."""
ROUGH, FINE = 1e-3, 1e-6
"""Nats between two steps at which the solver stops: while comparing strengths, and for the final weights."""
LEAST_SPREAD = 1e-2
"""Of the median feature's spread, what any feature is taken to vary by at least. Three of the 384 numbers of bundled:minilm vary by a ten thousandth of what
the others do: blown up to the same size they would get weights of half a million, and the first step of training below them would move every answer."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class LinearFit:
    """``weights`` (k, d) and ``bias`` (k,) on raw features; ``mean`` and ``scale`` (d,) are what standardised them.

    ``c``: the strength picked. ``rows`` (m,): the examples that took part in picking it; ``held_out`` (m, k): their
    probabilities from the fold that did not see them. ``seconds``: what all of it took.
    """

    weights: Floats
    bias: Floats
    mean: Floats
    scale: Floats
    c: float
    rows: NDArray[np.intp]
    held_out: Floats
    seconds: float


def fit(
    features: Floats,
    targets: NDArray[np.integer],
    *,
    num_classes: int,
    seed: int = 0,
    groups: NDArray[np.integer] | None = None,
    restraint: float = 1.0,
) -> LinearFit:
    """Solve for ``features`` (n, d) and ``targets`` (n,) below ``num_classes``: one class for each example.

    ``restraint``: the final weights are regularised so many times as strongly as is best for the head alone.

    ``groups`` (n,): examples of one group (near duplicates) are never on both sides of a fold. Raises ``RequestError``
    where nothing can be held out, or a feature is not finite.
    """
    y = np.asarray(targets, dtype=np.intp)
    owners = np.arange(len(y)) if groups is None else np.asarray(groups)
    return _solved(features, y, partial(Problem.of, num_classes=num_classes), strata=y, owners=owners, seed=seed, restraint=restraint)


def fit_sets(features: Floats, targets: NDArray[np.floating], *, seed: int = 0, restraint: float = 1.0) -> LinearFit:
    """Solve for ``features`` (n, d) and ``targets`` (n, k) of 0 and 1: k questions that are answered each by itself, at one strength."""
    y = np.asarray(targets, dtype=np.float32)
    none = np.zeros(len(y), dtype=np.intp)
    return _solved(features, y, SetProblem.of, strata=none, owners=np.arange(len(y)), seed=seed, restraint=restraint)


def _solved(
    features: Floats,
    y: NDArray[Any],
    make: MakeProblem,
    *,
    strata: NDArray[np.intp],
    owners: NDArray[np.integer],
    seed: int,
    restraint: float,
) -> LinearFit:
    """``strata``: the classes that folds have to hold in equal shares."""
    started = time.perf_counter()
    x = np.asarray(features, dtype=np.float32)
    _check(x, y, owners)
    mean, scale = _moments(x)
    x = (x - mean) / scale
    rows = _sample(strata, seed)
    c, held_out = _pick_strength(x[rows], y[rows], make, folds(strata[rows], owners[rows], seed=seed))
    c /= restraint
    flat = _along_path(make(x, y), [*(s for s in STRENGTHS if s < c), c])
    weights = (flat[:, :-1] / scale).astype(np.float64)
    bias = flat[:, -1] - weights @ mean.astype(np.float64)
    seconds = time.perf_counter() - started
    return LinearFit(weights.astype(np.float32), bias.astype(np.float32), mean, scale, c, rows, held_out, seconds)


def folds(targets: NDArray[np.integer], groups: NDArray[np.integer], *, seed: int) -> NDArray[np.intp]:
    """(n,) the fold of each example: whole groups, dealt out class by class, so that folds look alike."""
    rng = np.random.default_rng(seed)
    unique, first, member = np.unique(groups, return_index=True, return_inverse=True)
    order = np.lexsort((rng.random(len(unique)), targets[first]))
    num_folds = min(5 if len(targets) <= MANY_EXAMPLES else 3, len(unique))
    dealt = np.empty(len(unique), dtype=np.intp)
    dealt[order] = np.arange(len(unique)) % num_folds
    return dealt[member]


@dataclass(frozen=True, eq=False, slots=True)
class Problem:
    """Features (n, d), targets (n,) and the number of classes, as tensors that the objective reads."""

    x: Tensor
    y: Tensor
    num_classes: int

    @classmethod
    def of(cls, x: Floats, y: NDArray[np.intp], num_classes: int) -> Problem:
        return cls(torch.from_numpy(np.ascontiguousarray(x)), torch.tensor(y, dtype=torch.int64), num_classes)

    def objective(self, c: float) -> Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]:
        """Value and gradient of mean log loss + |weights|² / (2 c n), at weights and bias flattened from (d + 1, k)."""
        x, y, k = self.x, self.y, self.num_classes
        n, d = x.shape
        decay, target = 1.0 / (c * n), y[:, None]

        def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = torch.from_numpy(flat.astype(np.float32)).view(d + 1, k)
            logits = torch.addmm(w[d], x, w[:d])
            total = logits.logsumexp(dim=1, keepdim=True)
            loss = (total - logits.gather(1, target)).mean(dtype=torch.float64) + decay / 2 * w[:d].square().sum(dtype=torch.float64)
            residual = logits.sub_(total).exp_().scatter_add_(1, target, torch.full_like(total, -1.0)).div_(n)
            gradient = torch.cat((torch.addmm(w[:d], x.T, residual, beta=decay), residual.sum(0, keepdim=True)))
            return float(loss), gradient.view(-1).numpy().astype(np.float64)

        return value_and_gradient

    def solve(self, c: float, start: NDArray[np.float64] | None, tolerance: float) -> NDArray[np.float64]:
        """Flattened (d + 1, k): weights, then bias, at strength ``c``, from ``start`` (nothing: zeros)."""
        from scipy.optimize import minimize

        begin = np.zeros((self.x.shape[1] + 1) * self.num_classes) if start is None else start
        options = {"maxiter": 500, "ftol": tolerance, "gtol": 1e-7, "maxcor": 10}
        return minimize(self.objective(c), begin, jac=True, method="L-BFGS-B", options=options).x

    def probabilities(self, flat: NDArray[np.float64], x: Tensor) -> Floats:
        w = torch.from_numpy(flat.astype(np.float32)).view(-1, self.num_classes)
        return self.link(torch.addmm(w[-1], x, w[:-1])).numpy()

    def link(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1)

    def log_loss(self, held_out: Floats, y: NDArray[Any]) -> float:
        """Of probabilities (m, k) against targets of the same m examples."""
        return float(-np.log(np.maximum(held_out[np.arange(len(y)), y], np.finfo(np.float32).eps)).mean())


class SetProblem(Problem):
    """The same for targets (n, k) of 0 and 1, each column a question of its own."""

    __slots__ = ()

    @classmethod
    def of(cls, x: Floats, y: NDArray[Any], num_classes: int = 0) -> SetProblem:
        return cls(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y)), y.shape[1])

    def objective(self, c: float) -> Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]:
        """Value and gradient of the log loss summed over the questions, its mean over the examples, + |weights|² / (2 c n)."""
        x, y = self.x, self.y
        n, d = x.shape
        decay = 1.0 / (c * n)

        def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = torch.from_numpy(flat.astype(np.float32)).view(d + 1, -1)
            logits = torch.addmm(w[d], x, w[:d])
            loss = (softplus(logits) - y * logits).sum(dtype=torch.float64) / n + decay / 2 * w[:d].square().sum(dtype=torch.float64)
            residual = logits.sigmoid_().sub_(y).div_(n)
            gradient = torch.cat((torch.addmm(w[:d], x.T, residual, beta=decay), residual.sum(0, keepdim=True)))
            return float(loss), gradient.view(-1).numpy().astype(np.float64)

        return value_and_gradient

    def link(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def log_loss(self, held_out: Floats, y: NDArray[Any]) -> float:
        p = np.clip(held_out, np.finfo(np.float32).eps, 1 - np.finfo(np.float32).eps)
        return float(-np.where(y > 0.5, np.log(p), np.log1p(-p)).mean())


MakeProblem = Callable[[Floats, NDArray[Any]], Problem]


def _pick_strength(x: Floats, y: NDArray[Any], make: MakeProblem, fold: NDArray[np.intp]) -> tuple[float, Floats]:
    """The strength with the lowest held-out log loss, and the held-out probabilities (n, k) that it gave."""
    parts = [(make(x[fold != f], y[fold != f]), np.flatnonzero(fold == f)) for f in range(fold.max() + 1)]
    starts: list[NDArray[np.float64] | None] = [None] * len(parts)
    num_classes = parts[0][0].num_classes
    best_loss, best_c, best = np.inf, STRENGTHS[0], np.empty((0, num_classes), np.float32)
    since = 0
    for c in STRENGTHS:
        held_out = np.empty((len(y), num_classes), np.float32)
        for i, (problem, rows) in enumerate(parts):
            starts[i] = flat = problem.solve(c, starts[i], ROUGH)
            held_out[rows] = problem.probabilities(flat, torch.from_numpy(x[rows]))
        loss = parts[0][0].log_loss(held_out, y)
        since = 0 if loss < best_loss else since + 1
        if since == 0:
            best_loss, best_c, best = loss, c, held_out
        if since == PATIENCE:
            break
    return best_c, best


def _along_path(problem: Problem, strengths: list[float]) -> NDArray[np.float64]:
    """(k, d + 1) at the last of ``strengths``: each solution starts the next, which takes fewer steps than one long walk."""
    flat: NDArray[np.float64] | None = None
    for c in strengths[:-1]:
        flat = problem.solve(c, flat, ROUGH)
    flat = problem.solve(strengths[-1], flat, FINE)
    return flat.reshape(-1, problem.num_classes).T


def _moments(x: Floats) -> tuple[Floats, Floats]:
    mean = x.mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32), scale_of(x.std(axis=0, dtype=np.float64)).astype(np.float32)


def scale_of(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """What features (d,) that vary by ``spread`` are divided by: their own spread, but for those that hardly vary."""
    least = LEAST_SPREAD * float(np.median(spread))
    return np.maximum(spread, least) if least else np.where(spread > 0, spread, 1.0)


def _sample(targets: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Ascending rows that take part in picking the strength: all, or about ``MOST_EXAMPLES`` with every class in its share."""
    if len(targets) <= MOST_EXAMPLES:
        return np.arange(len(targets))
    order = np.lexsort((np.random.default_rng(seed).random(len(targets)), targets))
    kept = order[np.unique(np.linspace(0, len(order) - 1, MOST_EXAMPLES).astype(np.intp))]
    return np.sort(kept)


def _check(x: Floats, y: NDArray[Any], groups: NDArray[np.integer]) -> None:
    asked = f"a linear probe on features {x.shape}"
    if x.ndim != 2 or len(x) != len(y) or len(x) != len(groups):
        raise RequestError(asked, f"{len(y)} targets and {len(groups)} groups", "features (n, d) with n targets")
    if len(np.unique(groups)) < 2:
        raise RequestError(asked, "no example could be held out", "at least two examples that are not duplicates")
    if not np.isfinite(x).all():
        raise RequestError(asked, f"{int((~np.isfinite(x)).any(axis=1).sum())} examples with features that are not finite",
                           "run the trunk in fp32, or leave these examples out")  # fmt: skip
