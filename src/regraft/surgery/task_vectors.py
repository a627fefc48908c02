"""Merges by task vectors, tau_t = theta_t - theta_0: what each model learnt since the weights that all of them started from.

    task_arithmetic   theta_0 + scale * sum of tau_t                                              2212.04089
    ties              trim each tau_t, elect a sign for each number, mean of those that agree     2306.01708
    dare              drop numbers at random, rescale the rest, then task arithmetic              2311.03099

A state is a mapping from names to tensors. Names that the start does not hold are left out of the answer (a head is no part of what was
pretrained); tensors without floating point numbers, and those that moved in no model, are the start's own, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from regraft.errors import RequestError
from regraft.surgery.average import State, check_alike

Vector = dict[str, Tensor]


def task_vector(start: State, state: State) -> Vector:
    """What moved: name -> difference, for the tensors in which the two differ."""
    shared = {name: state[name] for name in start if name in state}
    check_alike([{name: start[name] for name in shared}, shared])
    return {
        name: shared[name] - start[name]
        for name in shared
        if shared[name].is_floating_point() and not torch.equal(shared[name], start[name])
    }


def add(start: State, vector: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """start + scale * vector."""
    return {name: tensor + scale * vector[name] if name in vector else tensor.clone() for name, tensor in start.items()}


def summed(vectors: Sequence[Vector]) -> Vector:
    names = dict.fromkeys(name for vector in vectors for name in vector)
    return {name: torch.stack([vector[name] for vector in vectors if name in vector]).sum(0) for name in names}


def task_arithmetic(start: State, states: Sequence[State], *, scale: float) -> dict[str, Tensor]:
    """theta_0 + scale * sum of task vectors (Ilharco et al. 2022)."""
    return add(start, summed([task_vector(start, state) for state in states]), scale)


def ties(start: State, states: Sequence[State], *, density: float = 0.2, scale: float = 1.0) -> dict[str, Tensor]:
    """Trim, elect sign and merge (Yadav et al. 2023).

    ``density``: the share of each task vector, counted over all of its numbers together, that is kept: those of largest magnitude.
    """
    return add(start, ties_vector([task_vector(start, state) for state in states], density), scale)


def dare(start: State, states: Sequence[State], *, drop: float = 0.9, scale: float = 1.0, seed: int = 0) -> dict[str, Tensor]:
    """Drop each number of a task vector with probability ``drop``, divide the rest by 1 - ``drop``, then task arithmetic (Yu et al. 2023)."""
    return add(start, dare_vector([task_vector(start, state) for state in states], drop, seed), scale)


def ties_vector(vectors: Sequence[Vector], density: float) -> Vector:
    """The merged task vector of TIES, before it is scaled."""
    _within("density", density, 0 < density <= 1, "above 0, at most 1")
    trimmed = [_trimmed(vector, density) for vector in vectors]
    return {name: _elected(torch.stack([one[name] for one in trimmed if name in one])) for name in summed(trimmed)}


def dare_vector(vectors: Sequence[Vector], drop: float, seed: int) -> Vector:
    """The sum of the task vectors after DARE, before it is scaled."""
    _within("drop", drop, 0 <= drop < 1, "from 0 to below 1")
    generator = torch.Generator().manual_seed(seed)
    return summed([{name: _thinned(tensor, drop, generator) for name, tensor in vector.items()} for vector in vectors])


def _trimmed(vector: Vector, density: float) -> Vector:
    """Zero but for the largest: ``density`` of all numbers of the vector; numbers of equal magnitude at the edge stay together."""
    sizes = torch.cat([tensor.abs().flatten().float() for tensor in vector.values()]) if vector else torch.zeros(1)
    kept = max(1, round(density * len(sizes)))
    edge = sizes.kthvalue(len(sizes) - kept + 1).values
    return {name: torch.where(tensor.abs().float() >= edge, tensor, 0) for name, tensor in vector.items()}


def _elected(stacked: Tensor) -> Tensor:
    """(models, ...) -> (...): the sign that carries more magnitude, then the mean of the non-zero numbers of that sign."""
    sign = stacked.sum(0).sign()
    agrees = (stacked.sign() == sign) & (stacked != 0)
    return torch.where(agrees, stacked, 0).sum(0) / agrees.sum(0).clamp(min=1)


def _thinned(tensor: Tensor, drop: float, generator: torch.Generator) -> Tensor:
    kept = torch.rand(tensor.shape, generator=generator) >= drop
    return torch.where(kept.to(tensor.device), tensor, 0) / (1 - drop)


def _within(key: str, value: float, holds: bool, wanted: str) -> None:
    if not holds:
        raise RequestError(f"{key}={value}", f"{key} is {wanted}", f"{key}=0.2" if key == "density" else f"{key}=0.9")
