"""Writing a generation that was made from others without a run: merged, for example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regraft import lineage
from regraft.trunk import tensors
from regraft.trunk.network import Network
from regraft.tune.record import environment, packed

INHERITED = ("task", "model", "source", "family", "input", "width", "pooling", "base")


def inherited(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What such a generation takes over from the manifest of its (first) parent."""
    head = {"head": manifest["head"]} if "head" in manifest else {}
    return {
        "schema": 1,
        **{key: manifest[key] for key in INHERITED},
        "facts": manifest.get("facts", {}),
        "environment": environment(),
        **head,
    }


def derive(
    store: lineage.Store, manifest: Mapping[str, Any], network: Network, *, name: str, assets: Mapping[str, bytes], parents: Sequence[str]
) -> lineage.Generation:
    """Add a generation made from ``parents``. ``manifest``: all that it says, what is ``inherited`` included."""
    return store.add(manifest, packed(tensors.state(network)), assets=assets, name=name, parent=parents)
