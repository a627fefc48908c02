"""Heads merged by class name: a row of a linear head belongs to a class, wherever the class stands in the models that know it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regraft.errors import RequestError
from regraft.surgery.average import State, average

Classes = Sequence[str]


def union(classes: Sequence[Classes]) -> tuple[str, ...]:
    """Every class, in the order of the first model that knows it."""
    return tuple(dict.fromkeys(name for one in classes for name in one))


def merge_heads(
    heads: Sequence[State], classes: Sequence[Classes], order: Classes, weights: Sequence[float] | None = None
) -> dict[str, Tensor]:
    """The weighted mean of heads, their rows in ``order`` of classes. ``heads``: states of the heads alone; ``weights`` as for ``average``.

    Where the class lists differ, a class's row is the mean over the models that know it, their weights made to sum to one. Tensors that do not
    hold one row for each class must then be equal in all. Raises ``RequestError`` where they are not, or where nobody knows a class.
    """
    weights = [1 / len(heads)] * len(heads) if weights is None else weights
    if all(tuple(one) == tuple(order) for one in classes):
        return average(heads, weights)
    if any(set(head) != set(heads[0]) for head in heads):
        raise RequestError("merge heads by class name", "they are of different kinds", "models whose heads are alike")
    if missing := sorted(set(order) - set(union(classes))):
        raise RequestError(
            "merge heads by class name", f"none of them knows {', '.join(missing[:4])}", "models that know all classes together"
        )
    return {name: _rows(name, [head[name] for head in heads], classes, order, weights) for name in heads[0]}


def _rows(name: str, tensors: Sequence[Tensor], classes: Sequence[Classes], order: Classes, weights: Sequence[float]) -> Tensor:
    if any(tensor.ndim == 0 or len(tensor) != len(one) for tensor, one in zip(tensors, classes, strict=True)):
        if all(tensor.shape == tensors[0].shape and torch.equal(tensor, tensors[0]) for tensor in tensors):
            return tensors[0].clone()
        raise RequestError("merge heads by class name", f"{name} holds no row for each class", "models whose heads are linear")
    places = [{label: place for place, label in enumerate(one)} for one in classes]
    rows = []
    for label in order:
        known = [(tensor[where[label]], weight) for tensor, where, weight in zip(tensors, places, weights, strict=True) if label in where]
        total = sum(weight for _, weight in known)
        shares = [weight / total if total else 1 / len(known) for _, weight in known]
        rows.append(average([{name: row} for row, _ in known], shares)[name])
    return torch.stack(rows)
