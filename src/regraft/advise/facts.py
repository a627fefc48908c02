"""What the advice is made from besides the trunk's outline: numbers about the data and the machine. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.spec import InputKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """``counts``: training examples of each class, in class order; all in one where there are no classes. ``solvable``: whether the task has a head
    that can be solved in closed form. ``mean_length``: tokens of an example; 0 for images.

    ``macs_per_s``: multiply-adds that this machine was measured to do in a second; 0 where it was not measured.
    ``oversize``: the shorter side of the median image, in sides of the model's input; 0 for what are no images.
    ``mirror_loss``: the share of held-out images that a head on frozen features no longer names right when they are mirrored; 0 where that was not measured.
    ``learns``: of a language model what it learns to say, text or the better of two answers.
    ``altered``: surgery has changed what the pretrained trunk computes.
    ``has_valid``: the data brings a valid split of its own, so that none is cut off the training examples.
    """

    kind: InputKind
    counts: tuple[int, ...]
    mean_length: float = 0.0
    macs_per_s: float = 0.0
    oversize: float = 0.0
    has_valid: bool = False
    solvable: bool = True
    learns: str = ""
    mirror_loss: float = 0.0
    altered: bool = False

    @classmethod
    def of(cls, targets: NDArray[np.integer], num_classes: int, *, kind: InputKind, **rest: float | bool) -> Facts:
        """Count the training ``targets`` (n,); ``rest``: ``mean_length``, ``macs_per_s``, ``has_valid``."""
        counts = tuple(int(c) for c in np.bincount(targets, minlength=num_classes))
        return cls(kind=kind, counts=counts, **rest)  # type: ignore[arg-type]

    @property
    def num_examples(self) -> int:
        return sum(self.counts)

    @property
    def num_classes(self) -> int:
        return len(self.counts)

    @property
    def per_class(self) -> float:
        """Training examples of the median class."""
        return float(np.median(self.counts))

    @property
    def majority_fraction(self) -> float:
        """How often the most frequent class is right: what a model that knows nothing reaches."""
        return max(self.counts) / self.num_examples

    def __str__(self) -> str:
        if self.num_classes == 1:
            return f"{self.num_examples:,} training examples"
        examples = f"{self.num_examples:,} training examples in {self.num_classes:,} classes"
        return f"{examples}, {self.per_class:,.0f} in the median class"
