"""Architectures without numbers: drawing random weights takes longer than reading the real ones that follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWN = frozenset({Tensor.normal_, Tensor.uniform_})
FILLING = frozenset({nn.init.__name__, "transformers.initialization"})
"""Modules whose functions fill weights; transformers puts its own in the place of torch's while it makes a model."""


class Unfilled(TorchFunctionMode):
    """As a context: what would be filled with random numbers is filled with zeros. Whoever loads every weight afterwards misses nothing; and an edit
    that looks at a weight as it comes (PiSSA takes its singular values) finds numbers, where memory as it was may hold none. Only parameters are left
    out: torch draws other tensors on the way to a parameter again and again until each number is within bounds, which zeros may never be.

    ``zeros=False``: memory is left as it was, which takes no time; for whoever puts another tensor in the place of each at once."""

    def __init__(self, *, zeros: bool = True) -> None:
        super().__init__()
        self._zeros = zeros

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in DRAWN or getattr(func, "__module__", None) in FILLING:
            filled: Tensor = given["tensor"] if "tensor" in given else args[0]
            if not isinstance(filled, nn.Parameter):
                return func(*args, **given)
            if self._zeros:
                filled.data.zero_()
            return filled
        return func(*args, **given)
