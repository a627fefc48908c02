"""A tensor with a shape and no values: what stands where a skipped prefix would have computed something.

    real op real               -> real: masks, position tables, whatever the model's own code makes from lengths and shapes
    placeholder op anything    -> placeholder: shapes are worked out, nothing is computed
    reading a placeholder      -> NotReproduced: its values are not there
    a filled placeholder       -> stands for its value from then on

So what enters a module sorts itself: real arguments need not be stored, placeholders must. Nothing is compared and nothing guessed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from regraft.errors import TrunkError

_VALUE_FREE = frozenset(
    getattr(torch.ops.aten, name)
    for name in ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")
)


class NotReproduced(TrunkError):
    """The model's own code cannot run without the values of its prefix: this boundary cannot be cached, train it live."""


class Placeholder(Tensor):
    """``meta``: the same shape and strides on the meta device, quick to ask; ``home``: the device; ``value``: the tensor that it stands
    for, once that is known."""

    meta: Tensor
    home: torch.device
    value: Tensor | None

    @staticmethod
    def __new__(cls, meta: Tensor, device: torch.device) -> Placeholder:
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, meta.shape, strides=meta.stride(), dtype=meta.dtype, device=device
        )
        made.meta, made.home, made.value = meta, device, None
        return made

    @classmethod
    def of_shape(
        cls, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, order: tuple[int, ...] | None = None
    ) -> Placeholder:
        """``order``: dimensions from the slowest to the fastest in memory; by default as written."""
        return cls(_meta_of(tuple(shape), dtype, order), device)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if _any_filled(args) or _any_filled(kwargs.values()):
            args, kwargs = _swap(args, _value), {name: _swap(part, _value) for name, part in kwargs.items()}
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in _VALUE_FREE:
            return func(*_swap(args, _shaped), **kwargs)
        if func._schema.is_mutable:
            return _mutated(func, args, kwargs)
        device = torch.device(kwargs.get("device") or _device(args) or _device(tuple(kwargs.values())) or "cpu")
        on_meta = {name: _swap(part, _meta) for name, part in kwargs.items()}
        if "device" in on_meta:
            on_meta["device"] = torch.device("meta")
        return _swap(func(*_swap(args, _meta), **on_meta), lambda made: cls(made, device))

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Placeholder({tuple(self.shape)}, {self.dtype}{', filled' if self.value is not None else ''})"


@lru_cache(maxsize=4096)
def _meta_of(shape: tuple[int, ...], dtype: torch.dtype, order: tuple[int, ...] | None) -> Tensor:
    if order is None:
        return torch.empty(shape, dtype=dtype, device="meta")
    physical = torch.empty([shape[dim] for dim in order], dtype=dtype, device="meta")
    return physical.permute(sorted(range(len(order)), key=order.__getitem__))


def is_open(value: Any) -> bool:
    """A placeholder whose value is not known yet."""
    return type(value) is Placeholder and value.value is None


def memory_order(tensor: Tensor) -> tuple[int, ...] | None:
    """Dimensions from the slowest to the fastest in memory, or ``None`` where that is the order in which they are written."""
    if tensor.is_contiguous():
        return None
    return tuple(sorted(range(tensor.dim()), key=lambda dim: (-tensor.stride()[dim], dim)))


def _any_filled(parts: Any) -> bool:
    return any(
        part.value is not None if isinstance(part, Placeholder) else isinstance(part, (tuple, list)) and _any_filled(part) for part in parts
    )


def _swap(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_swap(part, change) for part in value)
    return value


def _value(tensor: Tensor) -> Tensor:
    return tensor.value if isinstance(tensor, Placeholder) and tensor.value is not None else tensor


def _meta(tensor: Tensor) -> Tensor:
    if isinstance(tensor, Placeholder):
        return tensor.meta
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _shaped(tensor: Tensor) -> Tensor:
    """A real tensor of the same shape that takes no memory; only functions that never read it receive one."""
    return torch.empty((), dtype=tensor.dtype, device=tensor.device).expand(tensor.shape) if isinstance(tensor, Placeholder) else tensor


def _device(parts: tuple[Any, ...]) -> torch.device | None:
    for part in parts:
        found = part.device if isinstance(part, Placeholder) else _device(tuple(part)) if isinstance(part, (tuple, list)) else None
        if found is not None:
            return found
    return None


def _mutated(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation in place: on a placeholder it changes nothing that is known; from a placeholder into a real tensor it cannot be done."""
    written = [
        args[place] if place < len(args) else kwargs.get(argument.name)
        for place, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    if torch.Tag.inplace_view in func.tags or not all(isinstance(tensor, Placeholder) for tensor in written):
        raise NotReproduced(
            "run the model without the values of its prefix", f"{func} writes them into another tensor", "train this phase live"
        )
    return written[0] if len(written) == 1 else tuple(written)
