"""Widen: more inner channels without another function (Net2WiderNet, Chen et al. 2015, 1511.05641).

Some channels are doubled with all that makes them; the layer that reads them takes of each copy its share. ``noise`` tells the copies apart
from the start; without it they part as soon as dropout or the data does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regraft.surgery.inner import InnerSize
from regraft.surgery.prune import at_reader, reader_sizes
from regraft.surgery.sites import Site
from regraft.surgery.structure import Widen
from regraft.trunk.network import Network


def find(network: Network, index: int, edit: Widen) -> tuple[Site, ...]:
    """For each inner size the path of the layer that reads it, and how many channels it gets."""
    sizes = reader_sizes(network, index, "channels", edit)
    return tuple(Site(size.reader, max(size.units + 1, round(size.units * edit.factor))) for size in sizes)


def install(network: Network, sites: Sequence[Site], edit: Widen) -> None:
    for site in sites:
        size = at_reader(network, site.path, "channels")
        copied = torch.randint(0, size.units, (site.width - size.units,))
        units = torch.cat([torch.arange(size.units), copied])
        times = torch.bincount(units, minlength=size.units)
        size.take(network.host, units, share=1.0 / times[units])
        if edit.noise:
            _disturb(network.host, size, copied=len(copied), noise=edit.noise)


def _disturb(host: nn.Module, size: InnerSize, *, copied: int, noise: float) -> None:
    """Move the weights that make the copies by ``noise`` times their spread."""
    with torch.no_grad():
        for path in size.makers:
            weight = host.get_submodule(path).get_parameter("weight")
            copies = _outputs(host.get_submodule(path), weight)[-copied:]
            copies.add_(torch.randn_like(copies) * noise * weight.std())


def _outputs(layer: nn.Module, weight: Tensor) -> Tensor:
    return weight.T if hasattr(layer, "nf") else weight
