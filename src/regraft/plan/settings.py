"""The settings of a run that are not cells: rates, batches, augmentation. One frozen record, every field a public option."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from regraft.errors import PlanError, suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``lr`` is the rate of a cell with scale 1. Fractions are of the plan's steps. ``augment``: names and values as in
    ``data.augment``. ``valid_fraction`` and ``test_fraction``: what is set aside where the data brings no such split.
    ``wise_ft``: the last phase ends so far along the straight way from the weights that it began with to those that it trained (Wortsman et al. 2021,
    2109.01903); 1 is where training ended. ``refit``: train on train + valid; where valid has something to tell first (``tried_first``), once more and for as long.
    ``gradient_checkpointing``: of a trunk's stage only what enters it is held for the backward pass (1604.06174): less memory for a third more work.
    ``compile``: the stages that train go through ``torch.compile``.
    ``packing``: several conversations or texts to a row, each of which sees itself alone, so that hardly a place is padding.
    ``controls``: train, where several tasks are learned together, each of them by itself too, and all with equal weights, to compare.
    ``sampling``: the n examples that teach one task are drawn in proportion to n^sampling beside those that teach another: 1 all alike, 0 every task alike.
    ``keep``: what the generation keeps of its data, for its children to be measured on and to learn again; ``replay``: training examples
    of each class among it, -1 as many as fit beside the test examples. ``beam``: how many texts are followed at once where sounds are written down; 1: the likeliest character of each frame."""

    epochs: float = 5.0
    lr: float = 1e-4
    batch_size: int = 32
    accumulate: int = 1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.01
    clip: float = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup_fraction: float = 0.1
    label_smoothing: float = 0.0
    ema: float = 0.0
    wise_ft: float = 1.0
    patience: int = 0
    dropout: float = 0.1
    batch_norm: Literal["train", "frozen"] = "train"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    augment: tuple[tuple[str, float | int | str | bool], ...] = ()
    input_size: int = 0
    max_length: int = 0
    packing: bool = False
    gradient_checkpointing: bool = False
    beam: int = 1
    seed: int = 0
    refit: bool = False
    keep: Literal["examples", "features", "nothing"] = "examples"
    replay: int = -1
    controls: bool = True
    sampling: float = 1.0
    cache: bool = True
    cache_views: int = 0
    valid_fraction: float = 0.1
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        for name, low, high in BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise PlanError(f"{name}={value!r}", f"{name} lies between {low} and {high}", f"--set {name}=...")

    def tried_first(self, *, has_test: bool, settles: bool) -> bool:
        """Does a refit come after a fit on train alone? Where valid ends the training early, decides something of the task (thresholds)
        or is all there is to measure on; else one training on both is enough."""
        return self.patience > 0 or settles or not has_test

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "augment": dict(self.augment)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Settings:
        known = {field.name for field in fields(cls)}
        for key in document:
            if key not in known:
                raise PlanError(f"setting {key!r}", "no such setting", suggest(key, known))
        augment = document.get("augment", ())
        pairs = tuple(sorted(augment.items())) if isinstance(augment, dict) else tuple((k, v) for k, v in augment)
        return cls(**{**document, "augment": pairs})


BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("epochs", 0.0, 10_000.0),
    ("lr", 0.0, 100.0),
    ("batch_size", 1, 1_000_000),
    ("accumulate", 1, 100_000),
    ("momentum", 0.0, 1.0),
    ("weight_decay", 0.0, 10.0),
    ("clip", 0.0, 1e9),
    ("warmup_fraction", 0.0, 1.0),
    ("label_smoothing", 0.0, 0.99),
    ("ema", 0.0, 0.99999),
    ("wise_ft", 0.0, 1.0),
    ("patience", 0, 10_000),
    ("dropout", 0.0, 0.99),
    ("beam", 1, 1_000),
    ("replay", -1, 1_000_000),
    ("sampling", 0.0, 1.0),
    ("valid_fraction", 0.0, 0.9),
    ("test_fraction", 0.0, 0.9),
)
