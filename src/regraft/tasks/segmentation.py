"""A class for each pixel of an image.

The head answers at the places of the finest map that the trunk gives; answers are brought to the size of the model's input, and for measuring and
predicting to that of the image. What is kept of an answer is the class of each pixel, not its probabilities: those of a street scene are a hundred
times the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from regraft.data import masks
from regraft.data.augment import PLACED
from regraft.data.encoded import IGNORE
from regraft.evaluate import segmentation as metrics
from regraft.evaluate.bootstrap import Statistic
from regraft.spec import FORMS
from regraft.surgery.decoder import PyramidHead
from regraft.tasks.task import Mistake, Task
from regraft.trunk.pyramid import levels
from regraft.trunk.trunk import Trunk

NAME = "semantic-segmentation"
NAMED = 3
"""Classes that a mistake names."""
Marks = NDArray[Any]
"""(n,) objects: uint8 indices of classes (height, width) for each image."""


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> PyramidHead:
    """Raises ``TrunkError`` for a trunk that gives no maps."""
    return PyramidHead([level.channels for level in levels(trunk)], trunk.width, num_classes, dropout)


@torch.no_grad()
def carried(head: nn.Module, made: nn.Module, known: Sequence[str], classes: Sequence[str]) -> nn.Module:
    """``made``, for ``classes``, with all that ``head``, for the classes ``known``, has learned on maps of the same sizes, and its rows for those in both."""
    theirs, ours = head.state_dict(), made.state_dict()
    if not isinstance(head, PyramidHead) or {name: one.shape[1:] for name, one in theirs.items()} != {
        name: one.shape[1:] for name, one in ours.items()
    }:
        return made
    rows = [(known.index(one), place) for place, one in enumerate(classes) if one in known]
    for name, tensor in ours.items():
        if name.startswith("linear."):
            for old, new in rows:
                tensor[new] = theirs[name][old]
        else:
            tensor.copy_(theirs[name])
    return made


def at_pixels(logits: Tensor, size: Sequence[int]) -> Tensor:
    """(B, k, H, W): the logits of the places, between them by straight lines."""
    if logits.shape[-2:] == tuple(size):
        return logits
    return functional.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) cross-entropy, the mean over the pixels of each image that count; ``targets`` (B, H, W), ``IGNORE`` where one does not."""
    each = functional.cross_entropy(
        at_pixels(logits, targets.shape[-2:]), targets, reduction="none", ignore_index=IGNORE, label_smoothing=label_smoothing
    )
    counting = (targets != IGNORE).sum((1, 2)).clamp(min=1)
    return each.sum((1, 2)) / counting


def collect(logits: Tensor, targets: Tensor) -> list[NDArray[Any]]:
    """For each image the class of every pixel of the model's input."""
    return list(at_pixels(logits.float(), targets.shape[-2:]).argmax(1).byte().cpu().numpy())


def sized(answers: Marks, truths: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The answers at the sizes of the truths."""
    return [masks.resized(answer, truth.shape) for answer, truth in zip(answers, truths, strict=True)]


class Reading:
    """Answers and truths where the masks are those of one data set: ``facts`` as ``data.targets.masks`` learnt them."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    def truths(self, targets: NDArray[Any]) -> list[NDArray[Any]]:
        """The masks at their own size; a target that is no file's name is one already."""
        return [masks.classes_at(target, self.facts) if isinstance(target, str) else target for target in targets]

    def counts(self, answers: Marks, targets: NDArray[Any], num_classes: int) -> metrics.Counts:
        truths = self.truths(targets)
        return metrics.counted(sized(answers, truths), truths, num_classes)

    def statistics(self, answers: Marks, targets: NDArray[Any], classes: Sequence[str]) -> dict[str, Statistic]:
        return metrics.statistics(self.counts(answers, targets, len(classes)))

    def document(self, answers: Marks, targets: NDArray[Any], classes: Sequence[str]) -> dict[str, Any]:
        return metrics.document(self.counts(answers, targets, len(classes)), classes)

    def quality(self, answers: Marks, targets: NDArray[Any]) -> NDArray[np.float64]:
        return metrics.quality(self.counts(answers, targets, len(self.facts["classes"])))

    def mistakes(self, answers: Marks, targets: NDArray[Any], classes: Sequence[str], most: int) -> list[Mistake]:
        """The images whose classes are found worst."""
        counts = self.counts(answers, targets, len(classes))
        score = metrics.quality(counts)
        worst = [row for row in np.argsort(score, kind="stable")[:most].tolist() if score[row] < 1]
        return [Mistake(row, _largest(counts[row].sum(1), classes), _largest(counts[row].sum(0), classes), None) for row in worst]

    def predictions(self, answers: Marks, classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """``mask``: a palette PNG of the image's own size as a data URI, whose values are those of the data; ``shares`` of the pixels by class."""
        return [self._prediction(answer, classes, given) for answer, given in zip(answers, inputs, strict=True)]

    def _prediction(self, answer: NDArray[Any], classes: Sequence[str], given: Any) -> dict[str, Any]:
        marks = masks.resized(answer, _size_of(given) or answer.shape)
        counts = np.bincount(marks.ravel(), minlength=len(classes))[: len(classes)]
        order = [index for index in np.argsort(-counts, kind="stable").tolist() if counts[index]]
        shares = [{"label": classes[index], "share": float(counts[index] / marks.size)} for index in order]
        return {"input": str(given), "label": shares[0]["label"], "shares": shares, "mask": masks.uri_of(marks, self.facts)}

    def picture(self, answer: NDArray[Any], target: Any, given: str) -> list[NDArray[np.uint8]]:
        """(height, width, 3) each: the truth and the answer in the colours of the classes, at the size of the truth."""
        truth = self.truths(np.array([target], dtype=object))[0]
        return [masks.painted(marks, self.facts) for marks in (truth, masks.resized(answer, truth.shape))]


def segmentation(facts: Mapping[str, Any] | None = None) -> Task:
    known = dict(facts or {})
    reading = Reading(known)
    return Task(
        name=NAME,
        form=FORMS[NAME],
        headline="mean_iou",
        head=head,
        losses=losses,
        answers=lambda scores: scores,
        statistics=reading.statistics,
        document=reading.document,
        predictions=reading.predictions,
        mistakes=reading.mistakes,
        quality=reading.quality,
        collect=collect,
        augmentations=PLACED,
        pictures=reading.picture,
        carry=carried,
        bind=segmentation,
        facts=known,
    )


def _largest(pixels: NDArray[np.int64], classes: Sequence[str]) -> str:
    """The classes that cover most of an image, with their shares."""
    order = [index for index in np.argsort(-pixels, kind="stable").tolist() if pixels[index]][:NAMED]
    return ", ".join(f"{classes[index]} {pixels[index] / pixels.sum():.0%}" for index in order) or "nothing"


def _size_of(given: Any) -> tuple[int, int] | None:
    """(height, width) of the image that was given, if it is one."""
    from PIL import Image, ImageOps

    if not Path(str(given)).is_file():
        return None
    with Image.open(str(given)) as image:
        width, height = ImageOps.exif_transpose(image).size
    return height, width


SEMANTIC_SEGMENTATION = segmentation()
