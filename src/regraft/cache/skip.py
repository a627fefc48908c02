"""Running a network's own forward with everything below a boundary skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from regraft.cache.forwards import Forward, call_points, standing_in
from regraft.cache.placeholder import is_open
from regraft.cache.shape_law import ShapeLaws
from regraft.cache.structure import any_leaf
from regraft.trunk.network import Network

Call = tuple[tuple[Any, ...], dict[str, Any]]
OnEntry = Callable[[nn.Module, int, tuple[Any, ...], dict[str, Any]], Call]


class SkippedPrefix:
    """The modules of ``network`` below and above stage ``index``, and the shape laws of those below."""

    def __init__(self, network: Network, index: int) -> None:
        self.network = network
        count = len(network.trunk.stages)
        self._above = call_points([part for at in range(index, count + 1) for part in network.stage_modules(at)])
        below = call_points([part for at in range(index) for part in network.stage_modules(at)])
        self._laws = {module: ShapeLaws(module) for module in below if module not in set(self._above)}

    def forget_shapes(self) -> None:
        for laws in self._laws.values():
            laws.forget()

    @contextmanager
    def skipping(self, on_entry: OnEntry) -> Iterator[None]:
        """For one forward on placeholders: the modules below answer in placeholders, unless they are called on real tensors only
        (a position table is looked up as ever). The first module above that is called on a placeholder is the entrance:
        ``on_entry(module, its calls before, args, kwargs)`` returns the arguments that it shall really get. From there on all is live."""
        passed = False
        calls: dict[nn.Module, int] = {}

        def answer(module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if passed or not _is_called_on_placeholder(args, kwargs):
                return own(*args, **kwargs)
            return self._laws[module].answer(own, args, kwargs)

        def enter(module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            nonlocal passed
            if not passed and _is_called_on_placeholder(args, kwargs):
                passed = True
                args, kwargs = on_entry(module, calls.get(module, 0), args, kwargs)
            calls[module] = calls.get(module, 0) + 1
            return own(*args, **kwargs)

        with standing_in(self.network, dict.fromkeys(self._laws, answer) | dict.fromkeys(self._above, enter)):
            yield


def _is_called_on_placeholder(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any_leaf(args, is_open) or any_leaf(kwargs.values(), is_open)
