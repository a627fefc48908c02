"""The vocabulary that every room shares, free of torch: inputs, metrics, intervals, and what a model expects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

InputKind = Literal["text", "image", "audio", "tensor"]
Pooling = Literal["none", "mean", "first", "last"]

SPLITS = ("train", "valid", "test")
METRICS = (
    "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "log_loss", "calibration_error", "mean_iou", "entity_f1",
    "mean_average_precision", "r2", "spearman", "wer", "cer", "perplexity", "preference_accuracy",
)  # fmt: skip
LOWER_IS_BETTER = frozenset({"log_loss", "calibration_error", "wer", "cer", "perplexity"})


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
    in 0..1. Text: ``max_length`` tokens. Audio: ``sample_rate`` Hz."""

    kind: InputKind
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_fraction: float = 1.0
    max_length: int | None = None
    sample_rate: int | None = None
    flexible_size: bool = True

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> InputSpec:
        lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
        return cls(**lists)
