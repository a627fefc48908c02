"""Where a stage is entered, and running the live model only that far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regraft.cache.forwards import Forward, evaluating, standing_in
from regraft.cache.placeholder import NotReproduced, Placeholder, is_open
from regraft.cache.structure import leaves
from regraft.trunk.network import Network
from regraft.trunk.pyramid import passed
from regraft.trunk.trunk import Inputs

Captured = dict[str, Tensor]
"""Name of an entry -> what entered the boundary stage under that name."""


class Reached(Exception):
    """The boundary has been reached: not an error, the way out of the host's forward."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """A stage is entered at ``module``, after ``calls_before`` calls of it on nothing that depends on the prefix.

    ``names``: position of an argument -> name of its entry; two positions that hold the same tensor share one name.
    ``entries``: name -> placeholder with the shape and type that the entry has for the batch with which this was found.
    """

    module: nn.Module
    calls_before: int
    names: dict[str, str]
    entries: dict[str, Placeholder]


def entrance_of(module: nn.Module, calls_before: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entrance:
    """The entrance that a call of ``module`` is: every open placeholder among its arguments is an entry, and every map that a head reads from
    below."""
    found = {path: leaf for path, leaf in arriving(args, kwargs).items() if is_open(leaf)}
    first: dict[int, str] = {}
    names = {path: first.setdefault(id(leaf), path) for path, leaf in found.items()}
    return Entrance(module, calls_before, names, {name: found[name] for name in names.values()})


def arriving(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Position -> what arrives there at a call: its arguments, and the maps on their way past it to the head."""
    return leaves(args, kwargs) | {f"past.{path}": output for path, output in passed().items()}


def run_to(
    network: Network, entrances: Mapping[int, Entrance], inputs: Inputs, *, run: Callable[[], object] | None = None
) -> dict[int, Captured]:
    """One forward, without gradient and in eval mode, up to the last of ``entrances``; what came by at each of them.

    ``run``: the forward, if it is not simply ``network(inputs)`` (it may start at a lower boundary).
    """
    captured: dict[int, Captured] = {}
    calls: Counter[nn.Module] = Counter()
    at: dict[nn.Module, list[tuple[int, Entrance]]] = {}
    for index, entrance in entrances.items():
        at.setdefault(entrance.module, []).append((index, entrance))

    def watch(module: nn.Module, own: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for index, entrance in at[module]:
            if calls[module] == entrance.calls_before and index not in captured:
                given = arriving(args, kwargs)
                captured[index] = {name: given[name].detach() for name in entrance.entries}
                if len(captured) == len(entrances):
                    raise Reached
                captured[index] = {name: _apart(tensor) for name, tensor in captured[index].items()}
        calls[module] += 1
        return own(*args, **kwargs)

    with torch.no_grad(), evaluating(network), standing_in(network, dict.fromkeys(at, watch)):
        try:
            run() if run else network(inputs)
        except Reached:
            return captured
    missing = [network.stage_names[index] for index in entrances if index not in captured]
    raise NotReproduced(f"capture what enters {', '.join(missing)}", "the model finished without calling it", "train this phase live")


def _apart(tensor: Tensor) -> Tensor:
    """A copy in the same order in memory: the forward goes on, and a stage may begin with an operation in place."""
    return tensor.clone(memory_format=torch.preserve_format)
