"""Laws of a model: viewing it as a trunk changes nothing (law 1), and its cached activations are the live ones (law 4)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from regraft.cache import Boundary, Cache, layout_of
from regraft.testing.law import law
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs, Trunk

ROUNDING = 1e-6
"""How far cached logits may be from live ones where a batch has another shape than the one that was captured, relative to the largest."""
LIMIT_BYTES = 1 << 28


def check_view(trunk: Trunk, inputs: Inputs) -> int:
    """Law 1, for a trunk with its own classifier still in place; returns the number of stages.

    Viewing left no hook, stages and classifier cover every parameter exactly once, modules of stages are called once and in order,
    nothing random and no buffer stands outside them, and features are those of the host whether or not its classifier is there.
    """
    host = trunk.host
    law(not any(m._forward_hooks or m._forward_pre_hooks for m in host.modules()), f"viewing left a hook in {_name(trunk)}")
    _covers(trunk)
    _in_order(trunk, inputs)
    with torch.no_grad(), _as_if_served(host):
        features, again = trunk.features(inputs), trunk.features(inputs)
        law(torch.equal(features, again), f"{_name(trunk)} gives other features the second time, in eval mode")
        law(features.shape[-1] == trunk.width, f"{_name(trunk)}: features are {features.shape[-1]} wide, the trunk says {trunk.width}")
        with _without(trunk):
            law(torch.equal(features, trunk.features(inputs)), f"the features of {_name(trunk)} depend on its own classifier")
    return len(trunk.stages)


def check_cached(network: Network, inputs: Inputs) -> int:
    """Law 4 at every boundary of ``network``; returns how many can be cached (a boundary may refuse, by ``NotReproduced``).

    Captured and resumed in one batch: bit for bit. Stored row by row and read together: to 1e-6 of the largest logit.
    """
    rows, count = np.arange(len(next(iter(inputs.values())))), 0
    law(len(rows) > 1, "check_cached needs a batch of two rows or more")
    with _as_if_served(network):
        for index in range(1, len(network.trunk.stages) + 1):
            boundary = Boundary(network, index)
            found = boundary.examine(inputs)
            if found.reason:
                continue
            law(found.difference == 0.0, f"{_name(network.trunk)}: {found}")
            _stored_equals_live(boundary, inputs, rows)
            count += 1
    return count


def _stored_equals_live(boundary: Boundary, inputs: Inputs, rows: np.ndarray) -> None:
    lengths = inputs["attention_mask"].sum(1).numpy() if "attention_mask" in inputs else None
    layout = layout_of(boundary, inputs)
    one_by_one = [(rows[i : i + 1], {name: tensor[i : i + 1] for name, tensor in inputs.items()}) for i in rows]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        cache = Cache(Path(folder), LIMIT_BYTES)
        known = lengths if layout.is_ragged else None
        entries = cache.fill("0" * 64, one_by_one, boundary.capture, layout=layout, num_rows=len(rows), lengths=known)
        live, cached = boundary.network(inputs), boundary.resume(entries.batch(rows), inputs)
        difference = float((live - cached).abs().max() / live.abs().max().clamp(min=1.0))
    law(difference <= ROUNDING, f"{_name(boundary.network.trunk)}, stored below {boundary.name}: logits differ by {difference:.1e}")


def _covers(trunk: Trunk) -> None:
    owners: dict[int, list[str]] = {}
    for stage in trunk.stages:
        for _, parameter in stage.named_parameters(trunk.host):
            owners.setdefault(id(parameter), []).append(stage.name)
    twice = [stages for stages in owners.values() if len(stages) > 1]
    law(not twice, f"{_name(trunk)}: a parameter stands in {' and in '.join(twice[0]) if twice else ''}")
    in_head = {id(p) for path in trunk.head_paths for p in trunk.host.get_submodule(path).parameters()}
    left = [name for name, p in trunk.host.named_parameters() if id(p) not in owners and id(p) not in in_head]
    law(not left, f"{_name(trunk)}: no stage holds {', '.join(left[:3])}")
    law(len(set(trunk.stage_names)) == len(trunk.stages), f"{_name(trunk)}: two stages have one name")


def _in_order(trunk: Trunk, inputs: Inputs) -> None:
    """Every module of a stage is called once, in the order of the stages; outside them nothing random runs and nothing has buffers."""
    host, calls = trunk.host, list[str]()
    paths = [path for stage in trunk.stages for path in stage.modules]
    inside = {id(m) for path in (*paths, *trunk.head_paths) for m in host.get_submodule(path).modules()}
    outside = {name for name, module in host.named_modules() if name and id(module) not in inside}
    with torch.no_grad(), _as_if_served(host), _recording(host, {*paths, *outside}, calls):
        trunk.features(inputs)
    called = [path for path in calls if path not in outside]
    law(called == paths, f"{_name(trunk)}: its stages are called as {called[:6]}..., and told as {paths[:6]}...")
    for path in outside.intersection(calls):
        module = host.get_submodule(path)
        is_random = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        law(not is_random, f"{_name(trunk)}: dropout {path!r} stands in no stage")
        law(not list(module.buffers(recurse=False)), f"{_name(trunk)}: {path!r} has buffers and stands in no stage")


@contextmanager
def _recording(host: nn.Module, paths: set[str], calls: list[str]) -> Iterator[None]:
    def note(_module: nn.Module, _args: tuple[object, ...], *, path: str) -> None:
        calls.append(path)

    handles = [host.get_submodule(path).register_forward_pre_hook(partial(note, path=path)) for path in paths]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _without(trunk: Trunk) -> Iterator[None]:
    """The host with its own classifier off, and then the very same modules back."""
    from regraft.surgery.heads import strip

    stripped = strip(trunk)
    try:
        yield
    finally:
        stripped.restore(trunk)


@contextmanager
def _as_if_served(module: nn.Module) -> Iterator[None]:
    """Eval mode; each module's own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _name(trunk: Trunk) -> str:
    return type(trunk.host).__name__


def logits_of(network: Network, inputs: Inputs) -> Tensor:
    """(B, k), as the network would answer."""
    with torch.no_grad(), _as_if_served(network):
        logits: Tensor = network(inputs)
    return logits
