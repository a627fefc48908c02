"""Room 1: pretrained models as ordered stages. Loaded by name, so that ``outline``, ``select`` and ``catalogue`` stay free of torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regraft.trunk.network import Network
    from regraft.trunk.outline import Outline, StageOutline
    from regraft.trunk.select import select_modules, select_stages
    from regraft.trunk.stage import Stage
    from regraft.trunk.trunk import Inputs, Trunk

PLACES = {
    "Inputs": "trunk", "Network": "network", "Outline": "outline", "Stage": "stage", "StageOutline": "outline", "Trunk": "trunk",
    "select_modules": "select", "select_stages": "select",
}  # fmt: skip

__all__ = ["Inputs", "Network", "Outline", "Stage", "StageOutline", "Trunk", "select_modules", "select_stages"]


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
