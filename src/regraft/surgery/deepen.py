"""Deepen: one more stage, which starts as the identity (Net2DeeperNet, Chen et al. 2015, 1511.05641).

The new stage is a copy of the one before it, in the host's own list of blocks, whose residual branches end in zeros: the output projections
of attention and MLP in a transformer block, the last batch norm in a convolutional one. That the function is kept is measured, not assumed:
a block that normalises behind its residual sum (BERT's) is told apart by it, and refused.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from regraft.errors import TrunkError
from regraft.surgery.chain import place_of, put_in
from regraft.surgery.flow import passages
from regraft.surgery.placement import adapter_paths
from regraft.surgery.sites import Site
from regraft.surgery.structure import Deepen
from regraft.trunk.network import Network


def find(network: Network, index: int, edit: Deepen) -> tuple[Site, ...]:
    trunk, stage = network.trunk, network.trunk.stages[index]
    asked = f"deepen behind {stage.name}"
    place = place_of(trunk, index, asked)
    seen = passages(trunk, list(stage.modules))
    if len(place.names) != 1 or stage.modules[0] not in seen:
        raise TrunkError(asked, f"{stage.name} is not one block", "one of the blocks")
    passage = seen[stage.modules[0]]
    if passage.entered != passage.left:
        raise TrunkError(
            asked, f"{stage.name} gives another shape than it takes, so that a second one cannot follow", "a block that keeps the shape"
        )
    if not _ends(trunk.host.get_submodule(stage.modules[0]), stage.modules[0]):
        raise TrunkError(
            asked, f"no residual branch is known in {stage.name} that could start at zero", f"insert(adapter, after={stage.name})"
        )
    return (Site(stage.modules[0], passage.left[-1]),)


def install(network: Network, sites: Sequence[Site], edit: Deepen) -> None:
    trunk = network.trunk
    for site in sites:
        index = next(at for at, stage in enumerate(trunk.stages) if stage.modules == (site.path,))
        block = copy.deepcopy(trunk.host.get_submodule(site.path))
        with torch.no_grad():
            for layer in _ends(block, site.path):
                for parameter in layer.parameters(recurse=False):
                    parameter.zero_()
        put_in(trunk, index, place_of(trunk, index, f"deepen behind {trunk.stages[index].name}"), block)


def _ends(block: nn.Module, path: str) -> list[nn.Module]:
    """The last layers of the residual branches inside ``block``."""
    layers = {f"{path}.{name}": part for name, part in block.named_modules() if name}
    chosen = adapter_paths(list(layers), "houlsby")
    if chosen:
        return [_projection(layers[name]) for name in chosen]
    norms: list[nn.Module] = [part for name, part in layers.items() if isinstance(part, nn.BatchNorm2d) and ".downsample" not in name]
    return norms[-1:]


def _projection(layer: nn.Module) -> nn.Module:
    return layer.out_proj if isinstance(layer, nn.MultiheadAttention) else layer
