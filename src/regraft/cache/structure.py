"""Tensors inside whatever a module takes and returns: tuples, lists, dictionaries, dataclasses (transformers' outputs among them)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

Visit = Callable[[Any, str], Any]


def map_leaves(value: Any, visit: Visit, path: str = "") -> Any:
    """``value`` rebuilt with ``visit(leaf, path)`` in the place of every leaf; what it returns unchanged is kept as the same object.

    ``path`` is the position of the leaf: ``args.0``, ``kwargs.position_embeddings.1``. Objects that are none of the known
    containers are leaves: a key-value cache stays the object that it is.
    """
    if value is None or isinstance(value, Tensor):  # nearly always: tested first
        return visit(value, path)
    if isinstance(value, (tuple, list)):
        parts = [map_leaves(part, visit, f"{path}.{place}") for place, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        return replace(value, **{name: map_leaves(part, visit, f"{path}.{name}") for name, part in named.items()})
    if type(value) is dict:
        return {name: map_leaves(part, visit, f"{path}.{name}") for name, part in value.items()}
    return visit(value, path)


def map_call(args: tuple[Any, ...], kwargs: dict[str, Any], visit: Visit) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """``map_leaves`` over the arguments of a call."""
    return map_leaves(args, visit, "args"), map_leaves(kwargs, visit, "kwargs")


def leaves(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Position -> leaf, for every argument of a call."""
    found: dict[str, Any] = {}
    map_call(args, kwargs, found_by_path(found))
    return found


def found_by_path(found: dict[str, Any]) -> Visit:
    def keep(leaf: Any, path: str) -> Any:
        found[path] = leaf
        return leaf

    return keep


def any_leaf(values: Iterable[Any], test: Callable[[Any], bool]) -> bool:
    """Whether ``test`` holds for a leaf of one of ``values``; quicker than to look at all of them."""
    for value in values:
        if value is None or isinstance(value, Tensor):
            if test(value):
                return True
        elif isinstance(value, (tuple, list)):
            if any_leaf(value, test):
                return True
        elif type(value) is dict:
            if any_leaf(value.values(), test):
                return True
        elif is_dataclass(value) and not isinstance(value, type) and any_leaf([getattr(value, f.name) for f in fields(value)], test):
            return True
    return False
