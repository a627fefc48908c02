"""The maps that a trunk makes on its way: what a head reads that answers at every place of an image.

    pixels -> [stem] -> [blocks.0] -> [blocks.1] -> ... -> [neck] -> features (B, width)
                            |             |                   |
                         (B, c, H/4)   (B, c, H/8)   ...   (B, c, H/32)        one map of each size, from the last stage that gives it

Which stages give maps is seen on a weightless copy; reading them is a hook on the stage's own module for the length of one forward. Tokens of
a vision transformer are a map of one size, their class token and registers left out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regraft.errors import TrunkError
from regraft.trunk.measure import probe
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk
from regraft.trunk.weightless import weightless

FINEST = 4
"""Maps finer than a quarter of the image's side cost more than they tell; they are read only where there is no coarser one."""
IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Level:
    """The map that leaves ``stage`` through the module at ``path``: ``channels`` of it, one place for ``stride`` pixels to a side.
    ``layout``: (B, C, H, W), (B, H, W, C), or (B, tokens, C)."""

    stage: str
    path: str
    channels: int
    stride: float
    layout: Literal["NCHW", "NHWC", "tokens"]


_levels: WeakKeyDictionary[Trunk, tuple[tuple[Stage, ...], tuple[Level, ...]]] = WeakKeyDictionary()
_now = threading.local()


def levels(trunk: Trunk) -> tuple[Level, ...]:
    """One for each size of map, from fine to coarse; found once for the stages as they are. Raises ``TrunkError`` for a trunk that gives none."""
    known = _levels.get(trunk)
    if known is None or known[0] != trunk.stages:
        known = _levels[trunk] = trunk.stages, _found(trunk)
    return known[1]


def maps(trunk: Trunk, inputs: Inputs) -> tuple[Tensor, ...]:
    """(B, C, H, W) of each level, from fine to coarse, and last the features that the trunk gives as ever, (B, width)."""
    wanted = levels(trunk)
    with _passing() as passed:
        hooks = [trunk.host.get_submodule(level.path).register_forward_hook(_keep(level.path)) for level in wanted]
        try:
            features = trunk.features(inputs)
        finally:
            for hook in hooks:
                hook.remove()
    size = inputs[IMAGE].shape[-2:]
    return (*(_as_map(passed[level.path], level, (size[0], size[1])) for level in wanted), features)


def passed() -> dict[str, Tensor]:
    """What has left the levels so far in the forward that is under way on this thread: path of the module -> its output."""
    return getattr(_now, "maps", None) or {}


@contextmanager
def _passing() -> Iterator[dict[str, Tensor]]:
    before = getattr(_now, "maps", None)
    _now.maps = {}
    try:
        yield _now.maps
    finally:
        _now.maps = before


def _keep(path: str) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        _now.maps[path] = output

    return hook


def _as_map(output: Tensor, level: Level, image: tuple[int, int]) -> Tensor:
    if level.layout == "NCHW":
        return output
    if level.layout == "NHWC":
        return output.permute(0, 3, 1, 2)
    rows, columns = (round(side / level.stride) for side in image)
    return output[:, -rows * columns :].transpose(1, 2).reshape(len(output), level.channels, rows, columns)


def _found(trunk: Trunk) -> tuple[Level, ...]:
    asked = f"read maps from {trunk.reference or trunk.family}"
    inputs = probe(trunk, 0) if trunk.input.kind == "image" else None
    if inputs is None:
        raise TrunkError(asked, "it takes no images of a known size", "an image model, such as bundled:vision")
    image = inputs[IMAGE].shape[-2:]
    found = list(_maps_of(trunk, _outputs(trunk, inputs), (image[0], image[1])))
    coarse = [level for level in found if level.stride >= FINEST] or found
    last = {round(level.stride, 3): level for level in coarse}  # of each size the last one
    if not last:
        raise TrunkError(asked, "none of its stages gives a map of places", "a convolutional model or a vision transformer")
    return tuple(last[stride] for stride in sorted(last))


def _outputs(trunk: Trunk, inputs: Inputs) -> dict[str, Tensor]:
    """Path -> output of every module that a stage is made of and that gives one tensor."""
    copied, found = weightless(trunk.host).eval(), {}

    def keep(path: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found[path] = output

        return hook

    for stage in trunk.stages:
        for path in stage.modules:
            copied.get_submodule(path).register_forward_hook(keep(path))
    with torch.no_grad():
        trunk.run(copied, inputs)
    return found


def _maps_of(trunk: Trunk, outputs: dict[str, Tensor], image: tuple[int, int]) -> Iterator[Level]:
    """The last map of each stage, in the order of the stages."""
    patch = _patch(trunk.host)
    for stage in trunk.stages:
        fitting = (_level(trunk, stage.name, path, outputs[path], image, patch) for path in reversed(stage.modules) if path in outputs)
        level = next((level for level in fitting if level is not None), None)
        if level is not None:
            yield level


def _level(trunk: Trunk, stage: str, path: str, output: Tensor, image: tuple[int, int], patch: int) -> Level | None:
    shape = tuple(output.shape)
    if len(shape) == 4:
        is_last = getattr(trunk.host, "output_fmt", "NCHW") == "NHWC"
        rows, columns, channels = (shape[1], shape[2], shape[3]) if is_last else (shape[2], shape[3], shape[1])
        return Level(stage, path, channels, image[0] / rows, "NHWC" if is_last else "NCHW") if rows * columns > 1 else None
    if len(shape) == 3 and patch and shape[1] >= (image[0] // patch) * (image[1] // patch):
        return Level(stage, path, shape[2], float(patch), "tokens")
    return None


def _patch(host: nn.Module) -> int:
    """Pixels to a side of what a transformer takes for one token: the first convolution that steps as far as it reaches; 0 where there is none."""
    for module in host.modules():
        if isinstance(module, nn.Conv2d):
            return int(module.stride[0]) if module.stride == module.kernel_size and module.stride[0] > 1 else 0
    return 0
