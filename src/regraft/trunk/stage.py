"""A stage: one contiguous piece of a trunk, named, and made of modules of somebody's model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Stage:
    """``modules`` are dotted paths in the host model, in the order in which data flows through them.

    ``extras`` are dotted paths of bare parameters that belong here though no listed module owns them
    (a class token, a position table).
    """

    name: str
    modules: tuple[str, ...]
    extras: tuple[str, ...] = ()

    def parts(self, host: nn.Module) -> list[nn.Module]:
        return [host.get_submodule(path) for path in self.modules]

    def named_parameters(self, host: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
        """Every parameter of the stage under its full name in the host."""
        for path, part in zip(self.modules, self.parts(host), strict=True):
            for name, parameter in part.named_parameters():
                yield f"{path}.{name}" if path else name, parameter
        for path in self.extras:
            yield path, host.get_parameter(path)

    def named_buffers(self, host: nn.Module) -> Iterator[tuple[str, Tensor]]:
        for path, part in zip(self.modules, self.parts(host), strict=True):
            for name, buffer in part.named_buffers():
                yield f"{path}.{name}" if path else name, buffer
