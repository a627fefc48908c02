"""The learning rate of full fine-tuning of a trunk, and where the number comes from (DESIGN 5)."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.advise.priors import (
    EDIT_FACTOR,
    FRESH_RATE,
    FROZEN_STATISTICS_RATE,
    HIGHEST_RATE,
    MEASURED_RATES,
    PUBLISHED_WIDTH,
    RATES,
    SCRATCH_RATES,
    Kind,
)
from regraft.plan.phase import Phase
from regraft.trunk.outline import Outline

ADAMW_CEILING = 3e-3
"""A pretraining rate whose tenth is above this was one of plain SGD."""


def kind_of(outline: Outline) -> Kind:
    """ "transformer" where most stages hold linear layers, else by whether the convolutions are followed by batch norm."""
    if outline.input.kind == "text" or 2 * sum(bool(stage.linears) and not stage.convolutional for stage in outline.stages) > len(
        outline.stages
    ):
        return "transformer"
    return "batch_norm" if outline.has_batch_norm else "convolution"


def rate(outline: Outline, phases: Sequence[Phase], *, keeps_statistics: bool = False) -> tuple[float, str]:
    """The rate of a cell with scale 1 in these ``phases``, and the sentence that says where it comes from. ``keeps_statistics``: of batch norm."""
    kind = kind_of(outline)
    if any(phase.fresh for phase in phases):
        lr = SCRATCH_RATES[kind]
        return lr, f"lr {lr:g}: the trunk starts from random weights, where this family takes more than in fine-tuning"
    if outline.is_partly_fresh:
        name = outline.stages[outline.lowest_fresh].name
        return FRESH_RATE, f"lr {FRESH_RATE:g}: the stages from {name} on start from random weights, which take more than pretrained ones"
    lr, source = _full_rate(outline, kind)
    if outline.reference in MEASURED_RATES:
        lr, source = MEASURED_RATES[outline.reference], "measured for this model on held-back images"
    elif keeps_statistics and lr > FROZEN_STATISTICS_RATE:
        lr, source = (
            FROZEN_STATISTICS_RATE,
            "the most where batch norm keeps the statistics of pretraining, which no longer hold what changes below",
        )
    if not _moves_little(phases):
        return lr, f"lr {lr:g}: {source}"
    lr = round_rate(EDIT_FACTOR * lr)
    return lr, f"lr {lr:g}: {EDIT_FACTOR:g} times the rate of full fine-tuning, as only edits, biases or norms move ({source})"


def round_rate(lr: float) -> float:
    """Two significant digits: nobody means more."""
    return float(f"{lr:.1e}")


def _full_rate(outline: Outline, kind: Kind) -> tuple[float, str]:
    known = outline.pretraining_lr
    if known is not None and known / 10 <= ADAMW_CEILING:
        return round_rate(known / 10), f"a tenth of the pretraining rate {known:g}"
    published, highest = RATES[kind], HIGHEST_RATE[kind]
    if kind != "transformer":
        return published, f"a starting point of AdamW for fine-tuning a {outline.family} network"
    lr = round_rate(min(highest, published * (PUBLISHED_WIDTH / outline.width) ** 2))
    return (
        lr,
        f"{published:g} is published for transformers of width {PUBLISHED_WIDTH}; this one is {outline.width} wide, and narrower ones take more",
    )


def _moves_little(phases: Sequence[Phase]) -> bool:
    """Does nothing of the trunk itself move but edits, biases, norms, and what is given the rate of whole weights beside them?"""
    cells = [cell for phase in phases for cell in phase.cells[:-1] if cell.trainable]
    return bool(cells) and all(cell.only != "all" or cell.edit is not None or cell.lr_scale * EDIT_FACTOR <= 1 for cell in cells)
