"""The outline: a trunk's weightless summary. Plans are written, checked, costed and shown from it alone. Free of torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from regraft.spec import InputSpec, Pooling

OwnHead = Literal["none", "tied", "untied"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutline:
    """One stage, counted.

    ``biases`` and ``norms``: parameters that are biases, or belong to a normalisation layer.
    ``linears``: (dotted path in the host, in features, out features) of every linear layer; in a trunk that has none, of its
    convolutions (``convolutional``).
    ``macs``: multiply-adds of one forward pass of one example of the outline's probe size.
    ``entry_bytes``: what enters this stage for that example, fp32 (what a cache at this boundary would keep).
    ``fresh``: it starts from random weights though the trunk is pretrained.
    ``activation_bytes``: what a backward pass through the stage keeps for that example, fp32.
    """

    name: str
    parameters: int
    biases: int = 0
    norms: int = 0
    linears: tuple[tuple[str, int, int], ...] = ()
    macs: int = 0
    entry_bytes: int = 0
    activation_bytes: int = 0
    has_batch_norm: bool = False
    convolutional: bool = False
    fresh: bool = False

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> StageOutline:
        return cls(**{**document, "linears": tuple((path, ins, outs) for path, ins, outs in document["linears"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """``probe_length``: tokens (or samples) of the example that was counted; 0 for images. ``own_head``: is the head the host's own output layer, pretrained
    with it, and is its table that of the stem (tied)? ``decoder``: the head, where it is more than one linear layer."""

    reference: str
    family: str
    input: InputSpec
    stages: tuple[StageOutline, ...]
    width: int
    pooling: Pooling = "none"
    probe_length: int = 0
    pretraining_lr: float | None = None
    own_head: OwnHead = "none"
    decoder: StageOutline | None = None

    @property
    def stage_names(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    @property
    def parameters(self) -> int:
        return sum(stage.parameters for stage in self.stages)

    @property
    def has_batch_norm(self) -> bool:
        return any(stage.has_batch_norm for stage in self.stages)

    @property
    def lowest_fresh(self) -> int:
        """Index of the first stage that starts from random weights; the head's, which always does, where there is none."""
        return next((index for index, stage in enumerate(self.stages) if stage.fresh), len(self.stages))

    def learned(self) -> Outline:
        """The same once it has been trained: nothing of it is random any more."""
        return replace(self, stages=tuple(replace(stage, fresh=False) for stage in self.stages))

    @property
    def is_partly_fresh(self) -> bool:
        return self.lowest_fresh < len(self.stages)

    def json(self) -> dict[str, Any]:
        """Plain JSON: lists, no tuples, so that what is read back equals what was written."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Outline:
        stages = tuple(StageOutline.from_json(stage) for stage in document["stages"])
        decoder = StageOutline.from_json(held) if (held := document.get("decoder")) else None
        return cls(**{**document, "input": InputSpec.from_json(document["input"]), "stages": stages, "decoder": decoder})
