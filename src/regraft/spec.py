"""The vocabulary that every room shares, free of torch: inputs, metrics, intervals, and what a model expects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

InputKind = Literal["text", "image", "audio", "tensor"]
Pooling = Literal["none", "mean", "first", "last"]
Parts = Literal["one", "pair", "words", "turns", "row"]
Target = Literal["class", "level", "number", "set", "tags", "mask", "transcript", "text", "preference", "several"]

PART = "\x1f"
"""Stands between the parts of an input that has several (two texts, the words of a sentence): ASCII's own unit separator."""

COLUMNS = "columns"
"""In a batch, the numbers (B, c) float32 that stand beside each input: they go past the trunk to the head."""
SPLITS = ("train", "valid", "test")
METRICS = (
    "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "log_loss", "calibration_error", "mean_iou", "entity_f1",
    "mean_average_precision", "r2", "spearman", "wer", "cer", "perplexity", "preference_accuracy", "pearson", "mean_absolute_error",
    "exact_match", "entity_precision", "entity_recall", "pixel_accuracy", "task_mean",
)  # fmt: skip
LOWER_IS_BETTER = frozenset({"log_loss", "calibration_error", "wer", "cer", "perplexity", "mean_absolute_error"})
OF_TASK = "/"
"""Stands between the name of a task and that of its metric where several tasks are measured together: ``relatedness/r2``."""


def is_lower_better(metric: str) -> bool:
    """Of a metric, or of one of several tasks."""
    return metric.rpartition(OF_TASK)[2] in LOWER_IS_BETTER


@dataclass(frozen=True, slots=True)
class Form:
    """What the examples of a task look like, which is all that reading and encoding them needs to know of it.

    ``parts`` of an input: one text, image or sound, a pair of texts, the words of a sentence, or the turns of a
    conversation (plain text is one turn), or the columns of a row, of which some are text. ``target``: one of several classes, a level of a scale, a number, a set of labels, a tag for each word, a class
    for each pixel, what is said, the next token of what the model says, which of two answers is preferred; or several of these, whose forms ``of`` lists.
    """

    kind: InputKind
    parts: Parts = "one"
    target: Target = "class"
    of: tuple[Target, ...] = ()


FORMS: dict[str, Form] = {
    "text-classification": Form("text"),
    "image-classification": Form("image"),
    "audio-classification": Form("audio"),
    "text-pair-classification": Form("text", "pair"),
    "text-regression": Form("text", target="number"),
    "image-regression": Form("image", target="number"),
    "text-pair-regression": Form("text", "pair", "number"),
    "text-ordinal": Form("text", target="level"),
    "image-ordinal": Form("image", target="level"),
    "text-multilabel": Form("text", target="set"),
    "image-multilabel": Form("image", target="set"),
    "token-classification": Form("text", "words", "tags"),
    "semantic-segmentation": Form("image", target="mask"),
    "text-table-classification": Form("text", "row"),
    "text-table-regression": Form("text", "row", "number"),
    "causal-language-model": Form("text", "turns", "text"),
    "preference": Form("text", "turns", "preference"),
    "speech-recognition": Form("audio", target="transcript"),
    "text-multitask": Form("text", target="several"),
    "text-pair-multitask": Form("text", "pair", "several"),
    "image-multitask": Form("image", target="several"),
    "audio-multitask": Form("audio", target="several"),
}
"""The form of each task that comes with the package; ``regraft.tasks`` holds what else there is to say about them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured value with its 95% interval over ``n`` examples."""

    value: float
    low: float
    high: float
    n: int

    def json(self) -> dict[str, float]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What a trunk wants at its door. Images: ``size`` (height, width) pixels, ``mean`` and ``std`` per channel of values
    in 0..1. Text: ``max_length`` tokens. Audio: ``sample_rate`` Hz, ``max_length`` samples;
    ``unit_variance``: each clip is brought to mean 0 and variance 1."""

    kind: InputKind
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_fraction: float = 1.0
    max_length: int | None = None
    sample_rate: int | None = None
    flexible_size: bool = True
    unit_variance: bool = False

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> InputSpec:
        lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
        return cls(**lists)
