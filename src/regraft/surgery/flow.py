"""What flows through a model: a small probe, what it comes out as, and through which module it leaves each stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrunkError
from regraft.surgery.sites import Form
from regraft.trunk.measure import probe
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk

TOKENS, SAMPLES = 8, 2000
WORDS = 20
"""Tokens of the probe are numbered below this: every vocabulary has so many."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One call of a module: shapes and dtype of the first tensor that entered and of the first that left."""

    path: str
    entered: tuple[int, ...]
    left: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Outlet:
    """The module through which a stage's values leave it; ``width``, ``form`` and ``ndim`` of these."""

    path: str
    width: int
    form: Form
    ndim: int
    keeps_shape: bool


def probe_inputs(trunk: Trunk) -> dict[str, Tensor]:
    """Two small examples with something in them, the same each time, where the trunk's weights are."""
    near = next(trunk.host.parameters())
    empty = probe(trunk, {"text": TOKENS, "audio": SAMPLES}.get(trunk.input.kind, 0), "cpu")
    if empty is None:
        raise TrunkError(f"surgery on {trunk.reference or type(trunk.host).__name__}", "the shape of its input is not known, so that no edit can be checked",
                         "Trunk.of(module, input=InputSpec(kind=\"image\", size=(height, width)), ...)")  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    filled = {}
    for name, tensor in empty.items():
        if tensor.is_floating_point():
            filled[name] = torch.randn(tensor.shape, generator=generator).to(near.dtype)
        elif tensor.dtype == torch.bool:
            filled["attention_mask"] = torch.ones(tensor.shape[0], tensor.shape[-1], dtype=torch.long)
        else:
            filled[name] = torch.randint(0, WORDS, tensor.shape, generator=generator)
    return {name: tensor.to(near.device) for name, tensor in filled.items()}


@contextmanager
def at_rest(module: nn.Module) -> Iterator[None]:
    """Eval mode and no gradient; every module's own mode comes back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def answers(network: Network, inputs: dict[str, Tensor]) -> Tensor:
    """Logits of the probe."""
    with at_rest(network):
        return network(inputs)


def passages(trunk: Trunk, paths: list[str]) -> dict[str, Passage]:
    """How the probe passes the modules at ``paths``; those that are not called, or give no tensor, are left out."""
    return {path: passage for path, (passage, _, _) in _trace(trunk, paths).items()}


def outlet(trunk: Trunk, index: int) -> Outlet:
    """Where the values of stage ``index`` leave it: the module whose output is what the next stage receives; in the last stage the last
    one that gives a tensor. Inside plain containers their last member."""
    stage = trunk.stages[index]
    behind = list(trunk.stages[index + 1].modules) if index + 1 < len(trunk.stages) else []
    paths = [_last_member(trunk.host, path) for path in stage.modules]
    trace = _trace(trunk, [*paths, *behind])
    received = next((entered for path in behind if path in trace for entered in [trace[path][1]]), None)
    found = next((path for path in reversed(paths) if path in trace and received is not None and _is_same(trace[path][2], received)), None)
    found = found or (None if behind else next((path for path in reversed(paths) if path in trace), None))
    if found is None:
        raise TrunkError(f"stand something behind {stage.name}", "none of its modules gives what the next stage receives",
                         f"another stage: {', '.join(trunk.stage_names)}")  # fmt: skip
    passage = trace[found][0]
    width, form = _width(trunk, passage.left)
    return Outlet(found, width, form, len(passage.left), passage.entered == passage.left)


def _width(trunk: Trunk, shape: tuple[int, ...]) -> tuple[int, Form]:
    if len(shape) == 4 and trunk.map_axis == 1:
        return shape[1], "map"
    return shape[-1], "tokens"


def _last_member(host: nn.Module, path: str) -> str:
    while type(module := host.get_submodule(path)) is nn.Sequential and len(module):
        path = f"{path}.{next(reversed(module._modules))}"
    return path


def _trace(trunk: Trunk, paths: list[str]) -> dict[str, tuple[Passage, Tensor, Tensor]]:
    """path -> (passage, what entered, what left), of the last call of each module."""
    found: dict[str, tuple[Passage, Tensor, Tensor]] = {}

    def note(path: str, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        entered, left = _first([*args, *kwargs.values()]), _first([output])
        if entered is not None and left is not None:
            found[path] = Passage(path, tuple(entered.shape), tuple(left.shape), left.dtype), entered, left

    hooks = [trunk.host.get_submodule(path).register_forward_hook(partial(note, path), with_kwargs=True) for path in dict.fromkeys(paths)]
    try:
        with at_rest(trunk.host):
            trunk.features(probe_inputs(trunk))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _first(values: list[Any]) -> Tensor | None:
    """The first tensor of real numbers among ``values``; where there is none (a stem takes token numbers), the first tensor."""
    flat = [part for value in values for part in (value if isinstance(value, (tuple, list)) else [value]) if isinstance(part, Tensor)]
    return next((tensor for tensor in flat if tensor.is_floating_point()), flat[0] if flat else None)


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.shape == other.shape and one.data_ptr() == other.data_ptr())
