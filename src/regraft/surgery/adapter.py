"""Bottleneck adapters (Houlsby et al. 2019, 1902.00751; Pfeiffer et al. 2020, 2005.00247).

    x -> [layer] -> y -> down -> GELU -> up -> + y          up starts at zero: a fresh adapter is the identity, bit for bit

In a transformer block they stand behind the output projection of attention and of the MLP (``houlsby``) or of the MLP alone
(``pfeiffer``), before dropout and residual. In any other stage one stands behind the last module, as two 1x1 convolutions where
the values are maps. They are modules around modules, not hooks: state dict, deepcopy and pickling see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.errors import TrunkError
from regraft.surgery.placement import adapter_paths
from regraft.surgery.sites import Form, Site, stand
from regraft.surgery.specs import Adapter
from regraft.trunk.layers import linear_layers
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk

PROBE_SIZE, PROBE_SAMPLES = (64, 64), 3_200


class Bottleneck(nn.Module):
    """``width`` -> ``inner`` -> ``width``, over the last dimension of tokens or the channels of a map."""

    def __init__(self, width: int, inner: int, form: Form) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner) if form == "tokens" else nn.Conv2d(width, inner, 1)
        self.up = nn.Linear(inner, width) if form == "tokens" else nn.Conv2d(inner, width, 1)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)  # type: ignore[arg-type]

    def forward(self, values: Tensor) -> Tensor:
        return self.up(functional.gelu(self.down(values)))


class Adapted(nn.Module):
    """``base_layer`` with a bottleneck behind it. Of several outputs the first is adapted. What else is asked of it (a
    ``weight``, an ``in_features``) the base layer answers, as the host expects to find that layer here."""

    def __init__(self, base_layer: nn.Module, bottleneck: Bottleneck) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.bottleneck = bottleneck

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.base_layer(*args, **kwargs)
        if isinstance(output, tuple):
            return (output[0] + self.bottleneck(output[0]), *output[1:])
        return output + self.bottleneck(output)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base_layer"), name)


def find(network: Network, index: int, edit: Adapter) -> tuple[Site, ...]:
    """Behind which modules of stage ``index`` an adapter stands, and the width and form of what comes out there."""
    host, stage = network.host, network.trunk.stages[index]
    attentions = [f"{root}.{name}" if name else root for root in stage.modules for name, part in host.get_submodule(root).named_modules()
                  if isinstance(part, nn.MultiheadAttention)]  # fmt: skip
    layers = [path for path, _, _ in linear_layers(host, network.trunk.stages)[index]]
    chosen = adapter_paths([*attentions, *layers], edit.placement)
    return tuple(_site(host, path) for path in chosen) or (_behind_last(network.trunk, index),)


def install(network: Network, sites: Sequence[Site], edit: Adapter) -> None:
    for site in sites:
        layer = network.host.get_submodule(site.path)
        bottleneck = Bottleneck(site.width, edit.width, site.form)
        near = next(iter(layer.parameters()), None)
        if near is None:  # a layer of no weights stands where the rest of the host does
            near = next(network.host.parameters())
        stand(network.host, site.path, Adapted(layer, bottleneck.to(device=near.device, dtype=near.dtype)))


def _site(host: nn.Module, path: str) -> Site:
    layer = host.get_submodule(path)
    width, form = _last_width(layer) or (0, "tokens")
    return Site(path, width, form)


def _behind_last(trunk: Trunk, index: int) -> Site:
    """The stage's last module; inside containers its last member, so that whoever walks the container still can."""
    path = trunk.stages[index].modules[-1]
    while type(module := trunk.host.get_submodule(path)) is nn.Sequential and len(module):
        path = f"{path}.{next(reversed(module._modules))}"
    parts = trunk.stages[index].parts(trunk.host)
    kind = trunk.input.kind
    shape = _measured(trunk, path) if kind in ("image", "audio") else _last_width(nn.ModuleList(parts))
    if shape is None or kind == "text" or (kind == "audio" and shape[1] != "map"):
        name = trunk.stages[index].name
        raise TrunkError(f"an adapter in {name}", f"{name} has no attention or MLP output that is known, and its own output no known width",
                         "choose the blocks: freeze(below=...)+adapter, or surgical(stages=...)+adapter")  # fmt: skip
    return Site(path, *shape)


def _last_width(module: nn.Module) -> tuple[int, Form] | None:
    """Width and form of what comes out, told from the last layer with weights inside ``module``."""
    answer: tuple[int, Form] | None = None
    for part in [module] if isinstance(module, nn.MultiheadAttention) else module.modules():
        match part:
            case nn.MultiheadAttention():
                answer = part.embed_dim, "tokens"
            case nn.Linear():
                answer = part.out_features, "tokens"
            case nn.LayerNorm():
                answer = part.normalized_shape[-1], "tokens"
            case nn.Conv2d():
                answer = part.out_channels, "map"
            case nn.BatchNorm2d():
                answer = part.num_features, "map"
            case _ if hasattr(part, "nf"):  # transformers' Conv1D
                answer = part.get_parameter("weight").shape[1], "tokens"
    return answer


def _nothing(trunk: Trunk) -> dict[str, torch.Tensor]:
    if trunk.input.kind == "audio":
        return {"input_values": torch.zeros(1, PROBE_SAMPLES)}
    return {"image": torch.zeros(1, 3, *(trunk.input.size or PROBE_SIZE))}


def _measured(trunk: Trunk, path: str) -> tuple[int, Form] | None:
    """Width and form of what the module at ``path`` gives for one black image, or a moment of silence: told by running it, as joins and splits of
    channels are not seen in the layers."""
    shapes: list[torch.Size] = []
    handle = trunk.host.get_submodule(path).register_forward_hook(lambda _m, _i, output: shapes.append(output.shape))
    modes = [(module, module.training) for module in trunk.host.modules()]
    near = next(trunk.host.parameters())
    try:
        trunk.host.eval()
        with torch.no_grad():
            trunk.features({name: tensor.to(near) for name, tensor in _nothing(trunk).items()})
    finally:
        handle.remove()
        for module, mode in modes:
            module.training = mode
    if not shapes:
        return None
    return (shapes[0][1], "map") if len(shapes[0]) == 4 else (shapes[0][-1], "tokens")
