"""A cell: what one stage does during one phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from regraft.surgery.specs import Edit, edit_from_json, edit_json

Only = Literal["all", "bias", "norm", "edit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """``trainable``: does anything here move? ``lr_scale``: times the phase's rate. ``edit``: what stands here.

    ``only``: which parameters move: all of them, the biases, the normalisation layers, or just the edit's own.
    """

    trainable: bool = False
    lr_scale: float = 1.0
    edit: Edit | None = None
    only: Only = "all"

    def json(self) -> dict[str, Any]:
        return {"trainable": self.trainable, "lr_scale": self.lr_scale, "edit": edit_json(self.edit), "only": self.only}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Cell:
        return cls(**{**document, "edit": edit_from_json(document["edit"])})


FROZEN = Cell()
TRAIN = Cell(trainable=True)
