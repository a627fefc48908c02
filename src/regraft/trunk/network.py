"""A network: a trunk with one head on top, as the single ``nn.Module`` that is trained, saved and served."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from regraft.spec import COLUMNS
from regraft.trunk import pyramid
from regraft.trunk.trunk import Inputs, Trunk

HEAD = "head"


class Network(nn.Module):
    """State-dict names: ``host.<the host's own name>`` and ``head.<name>``.

    The head is called as ``head(features, attention_mask_or_None)`` and returns logits (B, num_classes). One that says ``reads_maps`` is given
    the maps of ``trunk.pyramid`` in place of the features; one that says ``reads_columns`` also what stands beside the inputs, as ``head(features, mask, columns)``.
    """

    def __init__(self, trunk: Trunk, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.host = trunk.host
        self.head = head

    def forward(self, inputs: Inputs) -> Tensor:
        read = pyramid.maps if self.reads_maps else Trunk.features
        return self.answer(read(self.trunk, inputs), inputs)

    def answer(self, features: Tensor | tuple[Tensor, ...], inputs: Inputs) -> Tensor:
        """Logits from what the head reads of the trunk, and from what it reads of ``inputs`` itself."""
        mask = inputs.get("attention_mask")
        return self.head(features, mask, inputs[COLUMNS]) if self.reads_columns else self.head(features, mask)

    @property
    def reads_maps(self) -> bool:
        return bool(getattr(self.head, "reads_maps", False))

    @property
    def reads_columns(self) -> bool:
        return bool(getattr(self.head, "reads_columns", False))

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the grid's rows, from the door to the top: the trunk's stages, then ``head``."""
        return (*self.trunk.stage_names, HEAD)

    def stage_parameters(self, index: int) -> Iterator[tuple[str, nn.Parameter]]:
        """(state-dict name, parameter) of grid row ``index``; the last row is the head."""
        if index == len(self.trunk.stages):
            for name, parameter in self.head.named_parameters():
                yield f"head.{name}", parameter
        else:
            for name, parameter in self.trunk.stages[index].named_parameters(self.host):
                yield f"host.{name}", parameter

    def stage_buffers(self, index: int) -> Iterator[tuple[str, Tensor]]:
        if index == len(self.trunk.stages):
            for name, buffer in self.head.named_buffers():
                yield f"head.{name}", buffer
        else:
            for name, buffer in self.trunk.stages[index].named_buffers(self.host):
                yield f"host.{name}", buffer

    def stage_modules(self, index: int) -> list[nn.Module]:
        return [self.head] if index == len(self.trunk.stages) else self.trunk.stages[index].parts(self.host)
