"""The trunk: an ordered view over somebody's ``nn.Module``. It owns nothing and rewrites nothing.

    tokens or pixels -> [stem] -> [blocks.0] -> ... -> [blocks.n] -> [neck] -> features -> (head)

The view is a list of stages, a way to call the host so that it returns what a head reads, and a few facts
about that output. Who changes modules is the room ``surgery``, and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from regraft.errors import TrunkError
from regraft.spec import COLUMNS, InputSpec, Pooling
from regraft.trunk.stage import Stage

Inputs = Mapping[str, Tensor]
"""What a batch hands to a model: ``{"image"}`` (B, 3, H, W) float, or ``{"input_ids", "attention_mask"}`` (B, L) int64,
or ``{"input_values", "attention_mask"}`` (B, T), or ``{"input"}`` for other modules. Never holds targets."""


def call_with_input(host: nn.Module, inputs: Inputs) -> Tensor:
    """The plain way to run a host: its forward on the one tensor in ``inputs``."""
    return host(*inputs.values())


@dataclass(eq=False, kw_only=True)
class Trunk:
    """An ordered view over ``host``.

    ``stages``: in data-flow order, the host's own classifier not among them.
    ``head_paths``: modules of the host's own classifier, if it has one; ``surgery.heads.strip`` empties them.
    ``width``: size of the last dimension of the features.
    ``pooling``: how a head turns (B, L, width) into (B, width); "none" where the host has pooled already.
    ``run``: calls the host so that it returns features.
    ``source``: how to rebuild the empty architecture: a JSON object for ``trunk.load.rebuild``.
    ``assets``: files that the rebuilt model needs beside its tensors (config.json, tokenizer.json), by name.
    ``tokenizer``: for text; ``None`` elsewhere.
    ``fresh``: names of stages that no pretraining has seen and that start from random weights (recurrent layers over word vectors).
    ``own_head``: the host's own output layer, for a task that goes on using it (a language model's), also once it is off the host.
    """

    host: nn.Module
    stages: tuple[Stage, ...]
    input: InputSpec
    width: int
    pooling: Pooling = "none"
    family: str = "module"
    reference: str = ""
    head_paths: tuple[str, ...] = ()
    pretraining_lr: float | None = None
    run: Callable[[nn.Module, Inputs], Tensor] = call_with_input
    source: dict[str, Any] = field(default_factory=dict)
    assets: dict[str, bytes] = field(default_factory=dict)
    tokenizer: Any = None
    fresh: tuple[str, ...] = ()
    own_head: nn.Module | None = None

    def __post_init__(self) -> None:
        check_cover(self)

    @classmethod
    def of(
        cls,
        host: nn.Module,
        *,
        stages: Sequence[Stage | tuple[str, Sequence[str]] | str] | None = None,
        width: int | None = None,
        **facts: Any,
    ) -> Trunk:
        """View ``host`` as a trunk: by its family where one is known, else by the ``stages`` given.

        A stage may be a ``Stage``, a pair (name, module paths), or one module path that names itself.
        Raises ``TrunkError`` where no family knows the host and no stages are given.
        """
        from regraft.trunk.families import view

        return view(host, stages=stages, width=width, **facts)

    @property
    def stage_names(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    @property
    def ties_head(self) -> bool:
        """Is the own head's table that of the stem?"""
        owned = {id(p) for stage in self.stages for _, p in stage.named_parameters(self.host)}
        return self.own_head is not None and any(id(p) in owned for p in self.own_head.parameters())

    @property
    def map_axis(self) -> int:
        """Where the channels of a map that leaves a stage stand: 1 in (B, width, H, W), 3 in (B, H, W, width), which timm's Swin and its kin say of
        themselves."""
        return 3 if getattr(self.host, "output_fmt", "NCHW") == "NHWC" else 1

    def features(self, inputs: Inputs) -> Tensor:
        """What the head reads: (B, width), or (B, L, width) where ``pooling`` is not "none". Columns beside the inputs are not the trunk's."""
        return self.run(self.host, {name: tensor for name, tensor in inputs.items() if name != COLUMNS})

    def stage_of(self) -> dict[str, int]:
        """Full parameter name in the host -> index of its stage (the host's own classifier: left out)."""
        return {name: index for index, stage in enumerate(self.stages) for name, _ in stage.named_parameters(self.host)}


def check_cover(trunk: Trunk) -> None:
    """Every parameter of the host stands in exactly one stage or in its own classifier; tied ones count once."""
    owners: dict[int, str] = {}
    for stage in trunk.stages:
        for name, parameter in stage.named_parameters(trunk.host):
            owner = owners.setdefault(id(parameter), stage.name)
            if owner != stage.name:
                raise TrunkError(f"view {type(trunk.host).__name__} as stages", f"{name!r} stands in {owner!r} and in {stage.name!r}",
                                 "give each module to one stage")  # fmt: skip
    head = {id(p) for path in trunk.head_paths for p in trunk.host.get_submodule(path).parameters()}
    missing = [n for n, p in trunk.host.named_parameters() if id(p) not in owners and id(p) not in head]
    if missing:
        raise TrunkError(f"view {type(trunk.host).__name__} as stages", f"no stage holds {', '.join(missing[:5])} ({len(missing)} in all)",
                         "add their modules to a stage (or bare parameters to its extras)")  # fmt: skip
