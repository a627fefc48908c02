"""Insert: a module behind a stage, the identity at first.

values -> [main: what stood there] -> [inserted] -> values

se        values * 2 sigmoid(up(relu(down(mean over places))))     up starts at zero, so the factor at exactly 1     1709.01507
adapter   values + up(gelu(down(values)))                          up starts at zero                                 1902.00751
block     values + gate * (block(values) - values)                 gate starts at zero; block is a copy of main      1912.11370 (ReZero's gate)
dropout   values                                                   in eval mode                                      1207.0580
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.errors import TrunkError
from regraft.surgery.adapter import Bottleneck
from regraft.surgery.flow import outlet
from regraft.surgery.sites import Form, Site, stand
from regraft.surgery.structure import Insert
from regraft.trunk.network import Network


class Followed(nn.Module):
    """``main`` with ``inserted`` behind it, which takes the first of its outputs and whatever else ``main`` was called with. What else is
    asked of it (an attribute that the host reads of its blocks) ``main`` answers."""

    def __init__(self, main: nn.Module, inserted: nn.Module) -> None:
        super().__init__()
        self.main = main
        self.inserted = inserted

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.main(*args, **kwargs)
        if isinstance(output, tuple):
            return (self.inserted(output[0], *args[1:], **kwargs), *output[1:])
        return self.inserted(output, *args[1:], **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("main"), name)


class SqueezeExcite(nn.Module):
    """One factor for each channel, told from the mean over all places. Values (B, width, H, W), or (B, ..., width)."""

    def __init__(self, width: int, inner: int, form: Form) -> None:
        super().__init__()
        self.form = form
        self.down = nn.Linear(width, inner)
        self.up = _zero(nn.Linear(inner, width))

    def forward(self, values: Tensor, *_: Any, **__: Any) -> Tensor:
        places = tuple(range(2, values.ndim)) if self.form == "map" else tuple(range(1, values.ndim - 1))
        squeezed = values.mean(places, keepdim=True) if places else values
        across = squeezed.movedim(1, -1) if self.form == "map" else squeezed
        factor = 2 * torch.sigmoid(self.up(functional.relu(self.down(across))))
        return values * (factor.movedim(-1, 1) if self.form == "map" else factor)


class Residual(nn.Module):
    """A bottleneck adapter beside the values."""

    def __init__(self, width: int, inner: int, form: Form) -> None:
        super().__init__()
        self.bottleneck = Bottleneck(width, inner, form)

    def forward(self, values: Tensor, *_: Any, **__: Any) -> Tensor:
        return values + self.bottleneck(values)


class Gated(nn.Module):
    """A block that is let in by one gate for each channel, closed at first. What the block calls its values by is its own affair: they go
    in first."""

    def __init__(self, block: nn.Module, width: int, form: Form) -> None:
        super().__init__()
        self.block = block
        self.gate = nn.Parameter(torch.zeros(width, 1, 1) if form == "map" else torch.zeros(width))

    def forward(self, values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("hidden_states", None)
        output = self.block(values, *args, **kwargs)
        output = output[0] if isinstance(output, tuple) else output
        return values + self.gate * (output - values)


class Dropout(nn.Module):
    """Dropout that takes no notice of what else it is called with."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, values: Tensor, *_: Any, **__: Any) -> Tensor:
        dropped: Tensor = self.dropout(values)
        return dropped


def find(network: Network, index: int, edit: Insert) -> tuple[Site, ...]:
    """The module behind which ``edit`` stands, with width and form of what comes out there."""
    trunk, stage = network.trunk, network.trunk.stages[index]
    door = outlet(trunk, index)
    if edit.module == "se" and trunk.input.kind != "image":
        raise TrunkError(f"{edit.label} in {stage.name}", "its mean would run over padding too, so that answers would depend on what else is in the batch",
                         "insert(adapter, after=...)")  # fmt: skip
    if edit.module == "block":
        _check_block(network, index, door.path, edit, keeps_shape=door.keeps_shape)
    return (Site(door.path, door.width, door.form),)


def install(network: Network, sites: Sequence[Site], edit: Insert) -> None:
    for site in sites:
        main = network.host.get_submodule(site.path)
        near = next(main.parameters(), None)
        near = next(network.host.parameters()) if near is None else near
        inserted = _made(main, site, edit).to(device=near.device, dtype=near.dtype)
        stand(network.host, site.path, Followed(main, inserted))
        inserted.train(main.training)


def remove(network: Network, sites: Sequence[Site]) -> None:
    """Take the inserted modules off again, also in a network that was rebuilt."""
    for site in reversed(sites):
        followed = network.host.get_submodule(site.path)
        if not isinstance(followed, Followed):
            raise TrunkError(f"take off what was inserted at {site.path}", "nothing stands behind that module", "it was undone before")
        network.host.set_submodule(site.path, followed.main)


def _made(main: nn.Module, site: Site, edit: Insert) -> nn.Module:
    inner = edit.width or max(1, site.width // 4)
    if edit.module == "se":
        return SqueezeExcite(site.width, inner, site.form)
    if edit.module == "adapter":
        return Residual(site.width, inner, site.form)
    if edit.module == "block":
        return Gated(copy.deepcopy(main), site.width, site.form)
    return Dropout(edit.p)


def _check_block(network: Network, index: int, path: str, edit: Insert, *, keeps_shape: bool) -> None:
    stage, block = network.trunk.stages[index], network.host.get_submodule(path)
    asked = f"{edit.label} in {stage.name}"
    if stage.modules != (path,) or next(block.parameters(), None) is None:
        raise TrunkError(asked, f"{stage.name} is not one block of its own", "one of the blocks, or insert(adapter, after=...)")
    if not keeps_shape:
        raise TrunkError(
            asked, f"{stage.name} gives another shape than it takes, so that a second one cannot follow", "a block that keeps the shape"
        )
    if any(getattr(part, "is_causal", False) is True for part in block.modules()):
        raise TrunkError(asked, "a second block in one place would share its memory of past tokens when text is generated",
                         f"deepen(after={stage.name})")  # fmt: skip


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
