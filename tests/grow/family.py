"""Generations that are merged and compared: one short run, and siblings of it whose numbers are moved a little, added by the real writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from regraft import lineage
from regraft.serve import rebuild
from regraft.surgery import edits
from regraft.surgery.specs import Edit
from regraft.trunk.network import Network
from regraft.tune.conduct import tune
from regraft.tune.derive import derive, inherited

COPIED = ("strategy", "plan", "data", "classes", "metrics", "cost", "warnings", "edits")


def founded(data: Path, model: str, store: Path) -> lineage.Store:
    """A store with one generation, ``first``."""
    tune(str(data), model=model, strategy="full", epochs=6, lr=3e-3, batch_size=8, refit=False, name="first", store=store)
    return lineage.Store(store)


def nudged(amount: float, seed: int) -> Callable[[Network], None]:
    """Moves every floating-point parameter by so much of a normal number."""

    def change(network: Network) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * amount)

    return change


def sibling(
    store: lineage.Store, name: str, change: Callable[[Network], None], *, of: str = "first", parents: Sequence[str] = (), edit: Edit | None = None,
    **facts: Any,
) -> lineage.Generation:  # fmt: skip
    """A copy of ``of`` after ``change`` (with ``edit`` in its stages first), with ``facts`` over what its manifest says."""
    rebuilt = rebuild.network(store, of)
    network, original = rebuilt.network, store.get(of)
    torch.manual_seed(sum(map(ord, name)))
    records = [edits.apply(network, index, edit) for index in range(1, len(network.trunk.stages))] if edit else []
    with torch.no_grad():
        change(network)
    copied = {key: original.manifest[key] for key in COPIED}
    manifest = {**inherited(original.manifest), **copied, **({"edits": [r.json() for r in records]} if edit else {}), **facts}
    return derive(store, manifest, network, name=name, assets=store.assets(original), parents=[store.get(one).digest for one in parents])
