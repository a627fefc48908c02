"""The shape of what a module returns, from the shape of what it takes: learned by watching, so that a skipped module costs nothing.

Every output dimension is a constant or a copy of an input dimension, as far as the calls seen so far tell. A new shape is answered only
where every explanation that is left gives the same number; else the module is run once on placeholders (exact, nothing computed) and
one explanation fewer is left. Convolutions over lengths have no such law; they are worked out once for each new length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regraft.cache.forwards import evaluating
from regraft.cache.placeholder import Placeholder, memory_order
from regraft.cache.structure import map_leaves

MOST_SHAPES = 4096
Dims = tuple[int, ...]


class _Blank:
    """Where a tensor stood in an output: its rank, its type, and its order in memory. (No dataclass: ``map_leaves`` would walk into it.)"""

    def __init__(self, tensor: Tensor) -> None:
        self.rank, self.dtype, self.order = tensor.dim(), tensor.dtype, memory_order(tensor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Blank) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(slots=True)
class _Dimension:
    """What one output dimension can still be: ``constant``, or a copy of one of the input ``places``."""

    constant: int | None
    places: frozenset[int]

    def narrow(self, given: Dims, size: int) -> None:
        self.constant = size if self.constant == size else None
        self.places = frozenset(place for place in self.places if given[place] == size)

    def predict(self, given: Dims) -> int | None:
        answers = {given[place] for place in self.places} | ({self.constant} if self.constant is not None else set())
        return answers.pop() if len(answers) == 1 else None


@dataclass(slots=True)
class _Law:
    """``seen``: for each input dimension the sizes that it has had; one that has had a single size says nothing about another."""

    template: Any
    dimensions: list[_Dimension]
    seen: list[set[int]]
    exact: dict[Dims, Dims] = field(default_factory=dict)

    def predict(self, given: Dims) -> Dims | None:
        if any(len(sizes) < 2 and size not in sizes for size, sizes in zip(given, self.seen, strict=True)):
            return None
        found = [dimension.predict(given) for dimension in self.dimensions]
        return None if None in found else tuple(size for size in found if size is not None)


class ShapeLaws:
    """The laws of one module, one for each kind of call (ranks, types, other arguments, autocast)."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._laws: dict[Any, _Law] = {}

    def forget(self) -> None:
        self._laws.clear()

    def answer(self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What ``forward(*args, **kwargs)``, the module's own, would return, in placeholders."""
        kind, given, device = _signature(args, kwargs)
        law = self._laws.get(kind)
        if law is not None:
            sizes = law.exact.get(given) or law.predict(given)
            if sizes is not None:
                return _fill(law.template, sizes, device)
        with torch.no_grad(), evaluating(self._module):  # in training mode a batch norm would count this batch
            returned = forward(*args, **kwargs)
        self._learn(kind, given, returned)
        return returned

    def _learn(self, kind: Any, given: Dims, returned: Any) -> None:
        sizes: list[int] = []
        known = True

        def blank(leaf: Any, path: str) -> Any:
            nonlocal known
            if isinstance(leaf, Placeholder):
                sizes.extend(leaf.shape)
                return _Blank(leaf)
            known = known and isinstance(leaf, (type(None), bool, int, float, str))
            return leaf

        template = map_leaves(returned, blank)
        if not known:  # real tensors or unknown objects beside the placeholders: such a module is run every time
            return
        law = self._laws.get(kind)
        if law is None or law.template != template:
            places = [frozenset(p for p, size in enumerate(given) if size == wanted) for wanted in sizes]
            law = self._laws[kind] = _Law(
                template, [_Dimension(size, place) for size, place in zip(sizes, places, strict=True)], [set() for _ in given]
            )
        for seen, size in zip(law.seen, given, strict=True):
            if len(seen) < 2:
                seen.add(size)
        for dimension, size in zip(law.dimensions, sizes, strict=True):
            dimension.narrow(given, size)
        if len(law.exact) < MOST_SHAPES:
            law.exact[given] = tuple(sizes)


def _signature(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Dims, torch.device]:
    """(all but the sizes, the sizes, the device) of a call."""
    kind: list[Any] = list(kwargs)
    given: list[int] = []
    home: list[torch.device] = []
    for value in (*args, *kwargs.values()):
        _look(value, kind, given, home)
    kind.append(torch.get_autocast_dtype(home[0].type) if torch.is_autocast_enabled(home[0].type) else None)
    return tuple(kind), tuple(given), home[0]


def _look(value: Any, kind: list[Any], given: list[int], home: list[torch.device]) -> None:
    if value is None or isinstance(value, (bool, int, float, str)):
        kind.append(value)
    elif isinstance(value, Placeholder):
        kind.append((value.meta.dim(), value.meta.dtype))
        given.extend(value.meta.shape)
        home.append(value.home)
    elif isinstance(value, Tensor):
        kind.append((value.dim(), value.dtype, "real"))
        given.extend(value.shape)
    else:
        inside: list[Any] = []
        map_leaves(value, lambda leaf, path: inside.append((path, leaf)))
        kind.append(type(value))
        for path, leaf in inside:
            kind.append(path)
            if leaf is value:
                continue  # an object that is no container: its type says what is known of it
            _look(leaf, kind, given, home)


def _fill(template: Any, sizes: Dims, device: torch.device) -> Any:
    if isinstance(template, _Blank):
        return Placeholder.of_shape(sizes, template.dtype, device, template.order)
    place = 0

    def made(leaf: Any, path: str) -> Any:
        nonlocal place
        if not isinstance(leaf, _Blank):
            return leaf
        shape = sizes[place : place + leaf.rank]
        place += leaf.rank
        return Placeholder.of_shape(shape, leaf.dtype, device, leaf.order)

    return map_leaves(template, made)
