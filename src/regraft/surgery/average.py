"""Averages of the weights of models with one architecture: soups (Wortsman et al. 2022, 2203.05482) and WiSE-FT (2109.01903).

A state is a mapping from names to tensors, as ``state_dict()`` gives it. Nothing here changes its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regraft.errors import RequestError

State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Attempt:
    """An average of the models ``members`` (indices, in the order in which they went in) and its score."""

    members: tuple[int, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Soup:
    """``members`` of the soup in the order in which they went in; ``tried``: every average that was scored, the single models first."""

    members: tuple[int, ...]
    tried: tuple[Attempt, ...]


def check_alike(states: Sequence[State]) -> None:
    """Raise ``RequestError`` unless all hold the same names with the same shapes."""
    first, *others = states
    for state in others:
        if differing := [
            name for name in {**first, **state} if name not in first or name not in state or first[name].shape != state[name].shape
        ]:
            raise RequestError(
                f"merge {len(states)} models", f"they differ in {len(differing)} tensors: {', '.join(sorted(differing)[:4])}",
                "models of one architecture, with the same edits",
            )  # fmt: skip


def average(states: Sequence[State], weights: Sequence[float] | None = None) -> dict[str, Tensor]:
    """The weighted mean of every tensor; ``weights`` (default: all equal) sum to one.

    Tensors that are equal in all states come out byte for byte, so that what was frozen is stored once. Tensors that hold no floating point
    numbers (counters, positions) are those of the first.
    """
    check_alike(states)
    weights = [1 / len(states)] * len(states) if weights is None else weights
    return {name: _mean([state[name] for state in states], weights) for name in states[0]}


def interpolate(start: State, end: State, share: float) -> dict[str, Tensor]:
    """(1 - share) start + share end: WiSE-FT's line between a model and what it was fine-tuned to."""
    return average([start, end], [1 - share, share])


def greedy_soup(num_models: int, mix: Callable[[Sequence[int]], State], score: Callable[[State], float]) -> Soup:
    """Recipe 1 of the paper: from the best single model down, each that does not make the average worse on held-out data goes in.

    ``mix``: the average of the models of these indices. ``score``: on held-out data, higher is better.
    """
    tried = [Attempt((index,), score(mix([index]))) for index in range(num_models)]
    first, *others = sorted(range(num_models), key=lambda index: -tried[index].score)
    taken = tried[first]
    for index in others:
        members = (*taken.members, index)
        tried.append(Attempt(members, score(mix(members))))
        if tried[-1].score >= taken.score:
            taken = tried[-1]
    return Soup(taken.members, tuple(tried))


def _mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    first, *others = tensors
    if not first.is_floating_point() or all(torch.equal(first, other) for other in others):
        return first.clone()
    total = torch.zeros_like(first, dtype=torch.float64)
    for tensor, weight in zip(tensors, weights, strict=True):
        total.add_(tensor, alpha=weight)
    return total.to(first.dtype)
