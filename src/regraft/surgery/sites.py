"""A site: one place in a host where an edit stands, and how modules are swapped there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import nn

from regraft.errors import TrunkError

Form = Literal["tokens", "map"]


@dataclass(frozen=True, slots=True)
class Site:
    """``path``: dotted, in the host. ``form``: "tokens" where values are (..., width), "map" where they are (B, width, H, W)."""

    path: str
    width: int
    form: Form = "tokens"

    def json(self) -> dict[str, Any]:
        return asdict(self)


def stand(host: nn.Module, path: str, module: nn.Module) -> None:
    """Stand ``module`` at ``path``, in the mode (training or not) of what it takes the place of."""
    if not path:
        raise TrunkError(f"edit {type(host).__name__} itself", "an edit stands inside the host, in one of its sub-modules",
                         "wrap the host in nn.Sequential and name its stages again")  # fmt: skip
    module.train(host.get_submodule(path).training)
    host.set_submodule(path, module)


def uncover(host: nn.Module, path: str) -> None:
    """Put back the module over which an edit stands: the same object, bytes and all."""
    host.set_submodule(path, host.get_submodule(path).get_submodule("base_layer"))


def is_edited(host: nn.Module, path: str) -> bool:
    """Does an edit stand at ``path`` or below it?"""
    return any(isinstance(getattr(part, "base_layer", None), nn.Module) for part in host.get_submodule(path).modules())
