"""Standing in for the forward of modules, for the length of one call and never longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

Forward = Callable[..., Any]
StandIn = Callable[[nn.Module, Forward, tuple[Any, ...], dict[str, Any]], Any]
"""Called as ``stand_in(module, its own forward, args, kwargs)`` in the place of ``module.forward(*args, **kwargs)``."""

_locks: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
_locks_guard = threading.Lock()


@contextmanager
def standing_in(network: nn.Module, stand_ins: Mapping[nn.Module, StandIn]) -> Iterator[None]:
    """Each module's ``forward`` replaced; put back on leaving, whatever happens.

    Only the calling thread meets the replacements: a live forward of the same network in another thread runs as ever.
    Two threads that both want replacements take turns. A replacement is one entry in the module's dictionary and costs less than a
    microsecond, so nothing stays installed between steps: a copied, pickled or saved network never carries a trace.
    """
    with _lock_of(network):
        thread = threading.get_ident()
        before = {module: module.__dict__.get("forward") for module in stand_ins}
        try:
            for module, stand_in in stand_ins.items():
                module.__dict__["forward"] = _replacement(thread, module, module.forward, stand_in)
            yield
        finally:
            for module, own in before.items():
                if own is None:
                    module.__dict__.pop("forward", None)
                else:
                    module.__dict__["forward"] = own


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Every part in eval mode; each one's own mode put back on leaving."""
    training = [part for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True


def call_points(modules: list[nn.Module]) -> list[nn.Module]:
    """The modules that a host calls: a list or dictionary of modules is never called, its members are."""
    points: list[nn.Module] = []
    for module in modules:
        if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            points.extend(call_points(list(module.children())))
        else:
            points.append(module)
    return list(dict.fromkeys(points))


def _replacement(thread: int, module: nn.Module, own: Forward, stand_in: StandIn) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        return stand_in(module, own, args, kwargs) if threading.get_ident() == thread else own(*args, **kwargs)

    return forward


def _lock_of(network: nn.Module) -> Any:
    with _locks_guard:
        return _locks.setdefault(network, threading.RLock())
