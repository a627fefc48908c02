"""``module:package.function``: a function of the user's own that returns an ``nn.Module`` or a ``Trunk``.

It is called with ``pretrained=True`` or ``False`` if it takes that argument, and again, without weights, when a result is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from torch import nn

from regraft.errors import TrunkError, suggest
from regraft.trunk.families import view
from regraft.trunk.reference import Reference
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.trunk import Trunk


def load(reference: Reference, wanted: Wanted) -> Trunk:
    """What the function returns; it is told ``pretrained`` and ``input_size`` where it asks for them. An image trunk whose function does
    not ask is shown images of that size all the same."""
    arguments = dict(reference.settings)
    if wanted.input_size and "input_size" in inspect.signature(_find(reference.name)).parameters:
        arguments["input_size"] = wanted.input_size
    trunk = _make(reference.name, wanted.pretrained, {"library": "module", "function": reference.name, "arguments": arguments})
    if wanted.input_size and trunk.input.kind == "image":
        trunk.input = replace(trunk.input, size=(wanted.input_size, wanted.input_size))
    return trunk


def rebuild(source: dict[str, Any], assets: dict[str, bytes], facts: dict[str, Any]) -> Trunk:
    return _make(source["function"], False, source)


def _make(name: str, pretrained: bool, source: dict[str, Any]) -> Trunk:
    function = _find(name)
    takes_it = "pretrained" in inspect.signature(function).parameters
    made = function(**source["arguments"], **({"pretrained": pretrained} if takes_it else {}))
    if isinstance(made, nn.Module):
        made = view(made)
    if not isinstance(made, Trunk):
        raise TrunkError(f"model 'module:{name}'", f"it returns {type(made).__name__}", "return an nn.Module or a regraft Trunk")
    made.source = {**source, "input": made.input.json(), "pooling": made.pooling}
    return made


def _find(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.rpartition(".")
    try:
        module = import_module(module_name) if module_name else None
    except ModuleNotFoundError as error:
        raise TrunkError(f"model 'module:{name}'", str(error), "module:PACKAGE.FUNCTION, with the package on the Python path") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")] if module else []
        raise TrunkError(
            f"model 'module:{name}'", f"{module_name or name!r} has no function {function_name!r}", suggest(function_name, known)
        )
    return function
