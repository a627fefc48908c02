"""Outlines of the shapes that the advice tells apart."""

from __future__ import annotations

from regraft.spec import InputSpec
from regraft.trunk.outline import Outline, StageOutline


def transformer(*, width: int = 384, pretraining_lr: float | None = None) -> Outline:
    block = {"parameters": 1_774_464, "linears": (("layer", width, width),), "macs": 20_000_000}
    stages = (StageOutline(name="stem", parameters=11_000_000), *(StageOutline(name=f"blocks.{i}", **block) for i in range(6)))
    spec = InputSpec(kind="text", max_length=256)
    return Outline(
        reference="bundled:minilm", family="bert", input=spec, stages=stages, width=width, pooling="mean", probe_length=16,
        pretraining_lr=pretraining_lr,
    )  # fmt: skip


def convolutions(*, batch_norm: bool = True) -> Outline:
    stages = tuple(
        StageOutline(name=name, parameters=1_000_000, macs=300_000_000, has_batch_norm=batch_norm)
        for name in ("stem", "blocks.0", "blocks.1", "neck")
    )
    return Outline(reference="timm:resnet10t", family="resnet", input=InputSpec(kind="image", size=(64, 64)), stages=stages, width=512)
