"""The weights of a merge: the models' own, mixed as a method says. Trunks by tensor, heads by class name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from regraft.grow.methods import WISE_FT, Method
from regraft.grow.relatives import Relative
from regraft.surgery.average import State, average
from regraft.surgery.class_rows import merge_heads, union
from regraft.surgery.task_vectors import Vector, add, dare_vector, summed, task_vector, ties_vector

VECTORS: dict[str, Callable[[Sequence[Vector], Method], Vector]] = {
    "task_arithmetic": lambda vectors, method: summed(vectors),
    "ties": lambda vectors, method: ties_vector(vectors, method.options["density"]),
    "dare": lambda vectors, method: dare_vector(vectors, method.options["drop"], int(method.options["seed"])),
}


class Mixture:
    """``start``: the trunk that all of them started from. ``classes``: those of the merge, each in the place where a model first has it."""

    def __init__(self, relatives: Sequence[Relative], start: State) -> None:
        self.relatives = relatives
        self.classes = union([one.classes for one in relatives])
        self._start = start
        self._trunks = [one.part("host.") for one in relatives]
        self._heads = [one.part("head.") for one in relatives]
        self._vectors: dict[str, Vector] = {}

    def average(self, members: Sequence[int], weights: Sequence[float] | None = None) -> dict[str, Tensor]:
        """The mean of these models (indices)."""
        heads = merge_heads([self._heads[i] for i in members], [self.relatives[i].classes for i in members], self.classes, weights)
        return {**average([self._trunks[i] for i in members], weights), **heads}

    def at(self, method: Method) -> dict[str, Tensor]:
        """The weights where the dial of ``method`` stands. Heads are averaged by every method: they have no start to be far from."""
        everybody = range(len(self.relatives))
        if method.name == WISE_FT:
            return self.average(everybody, [1 - method.options["alpha"], method.options["alpha"]])
        mean = self.average(everybody)
        if method.name not in VECTORS:
            return mean
        moved = add(self._start, self._vector(method), method.options["scale"])
        return {name: moved.get(name, tensor) for name, tensor in mean.items()}

    def _vector(self, method: Method) -> Vector:
        """Computed once for all places of the dial."""
        key = method.at(0.0).text
        if key not in self._vectors:
            self._vectors[key] = VECTORS[method.name]([task_vector(self._start, trunk) for trunk in self._trunks], method)
        return self._vectors[key]
