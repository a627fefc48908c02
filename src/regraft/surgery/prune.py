"""Prune: take out the inner units of smallest norm: channels between two layers (Li et al. 2016, 1608.08710) or attention heads (Michel et
al. 2019, 1905.10650). Structural: the layers become smaller, so the model is faster without any sparse kernel."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from regraft.errors import TrunkError
from regraft.surgery.inner import InnerSize, candidates, inner_sizes
from regraft.surgery.sites import Site
from regraft.surgery.structure import Prune, Widen
from regraft.trunk.network import Network


def find(network: Network, index: int, edit: Prune) -> tuple[Site, ...]:
    """For each inner size the path of the layer that reads it, and how many units are left."""
    sizes = reader_sizes(network, index, edit.what, edit)
    return tuple(Site(size.reader, max(1, size.units - max(1, round(size.units * edit.amount)))) for size in sizes)


def install(network: Network, sites: Sequence[Site], edit: Prune) -> None:
    for site in sites:
        size = at_reader(network, site.path, edit.what)
        ranked = torch.argsort(size.norms(network.host, edit.criterion), descending=True, stable=True)
        size.take(network.host, ranked[: site.width].sort().values.cpu())


def reader_sizes(network: Network, index: int, what: str, edit: Prune | Widen) -> list[InnerSize]:
    """The inner sizes of a stage. Raises ``TrunkError`` where it has none that can change."""
    sizes = inner_sizes(network, index, what)
    if not sizes:
        name = network.trunk.stages[index].name
        other = "heads" if what == "channels" else "channels"
        raise TrunkError(f"{edit.label} in {name}", f"{name} has no inner {what} that can be told apart from what its neighbours read",
                         f"a block, or prune({other})" if edit.kind == "prune" else "a block with an MLP or a run of convolutions")  # fmt: skip
    return sizes


def at_reader(network: Network, path: str, what: str) -> InnerSize:
    """The inner size that the layer at ``path`` reads."""
    trunk = network.trunk
    index = next(at for at, stage in enumerate(trunk.stages) if any(path == root or path.startswith(root + ".") for root in stage.modules))
    return next(size for size in candidates(network, index, what) if size.reader == path)
