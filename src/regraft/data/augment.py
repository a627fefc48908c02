"""Augmentation: which random changes training examples undergo. A value made of names and strengths; all chance is handed in.

| name | for | value | what it does |
|---|---|---|---|
| crop | image | pixels | mirror-pad by so much, then cut a random window |
| resized_crop | image | least share of the area | a random window of that area, resized (Szegedy et al. 2014) |
| flip | image | probability | left becomes right |
| jitter | image | strength | brightness, contrast and saturation, each by 1 +- strength at most |
| rand_augment | image | magnitude 0..30 | two random operations of fourteen (Cubuk et al. 2020) |
| erase | image | probability | a random rectangle takes the image's mean colour (Zhong et al. 2020) |
| mixup | image | alpha of the beta distribution | blend with another example, target included (Zhang et al. 2018) |
| cutmix | image | alpha of the beta distribution | paste a window of another example, target by area (Yun et al. 2019) |
| word_dropout | text | probability | a whole word is left out (Iyyer et al. 2015) |
| word_swap | text | probability | whole words change places (Wei and Zou 2019) |
| shift | audio | share of the length | earlier or later by so much at most; silence comes in |
| noise | audio | share of the loudness | white noise, up to so many times as loud as the clip |
| spec_augment | audio | how many | so many bands of frequencies and spans of time are left out (Park et al. 2019) |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from regraft.errors import RequestError, suggest
from regraft.spec import InputKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Value = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Knob:
    """``usual`` is what ``true`` stands for; values lie in 0..``high``, and 0 is off."""

    kind: InputKind
    usual: float
    high: float
    whole: bool = False


KNOBS: dict[str, Knob] = {
    "crop": Knob("image", 4, 1024, whole=True),
    "resized_crop": Knob("image", 0.35, 1.0),
    "flip": Knob("image", 0.5, 1.0),
    "jitter": Knob("image", 0.3, 1.0),
    "rand_augment": Knob("image", 9, 30),
    "erase": Knob("image", 0.25, 1.0),
    "mixup": Knob("image", 0.2, 100.0),
    "cutmix": Knob("image", 1.0, 100.0),
    "word_dropout": Knob("text", 0.1, 0.9),
    "word_swap": Knob("text", 0.1, 1.0),
    "shift": Knob("audio", 0.1, 1.0),
    "noise": Knob("audio", 0.1, 10.0),
    "spec_augment": Knob("audio", 2, 10, whole=True),
}
PLACED = frozenset({"crop", "resized_crop", "flip", "jitter"})
"""Those that a class for each pixel goes along with."""
MIXING = frozenset({"mixup", "cutmix"})


@final
@dataclass(frozen=True)
class Augmentation:
    """``values``: (name, strength) pairs that are not off, sorted by name. ``tokenizer``: for text, to tell words from their pieces."""

    kind: InputKind
    values: tuple[tuple[str, float], ...] = ()
    tokenizer: Any = None

    @classmethod
    def of(cls, pairs: Mapping[str, Value] | Iterable[tuple[str, Value]], kind: InputKind, *, tokenizer: Any = None) -> Augmentation:
        """From what a person wrote: ``{"crop": 4, "flip": True}``. ``True`` is the usual strength, 0 or ``False`` is off."""
        strengths = {name: strength(name, value, kind) for name, value in dict(pairs).items()}
        active = {name: value for name, value in strengths.items() if value}
        if "crop" in active and "resized_crop" in active:
            raise RequestError("augment with crop and resized_crop", "both choose the window", "keep one of them")
        return cls(kind, tuple(sorted(active.items())), tokenizer)

    @property
    def is_random(self) -> bool:
        """Whether two passes over one example differ."""
        return bool(self.values)

    @property
    def mixes(self) -> bool:
        """Whether ``mix`` changes batches and their targets."""
        return any(name in MIXING for name, _ in self.values)

    def json(self) -> dict[str, float]:
        return dict(self.values)

    def apply(self, inputs: Mapping[str, Tensor], generator: torch.Generator, *, size: tuple[int, int] | None = None) -> dict[str, Tensor]:
        """A changed batch, before ``prepare``; all that is random follows from one number drawn from ``generator``. A ``mask`` (B, H, W) beside the
        images moves with them (what goes beyond ``PLACED`` moves images alone).

        Image (B, 3, H, W), uint8 or float of 0..255: comes back as either; ``crop`` and ``resized_crop`` give ``size``
        (height, width) where it is given, which is how the margin of ``encode`` is used up; default: the size that came in.
        Text: rows may become shorter, and the batch narrower. Audio: shapes and lengths stay.
        """
        changes = {name: value for name, value in self.values if name not in MIXING}
        if not changes:
            return dict(inputs)
        chance = _chance(generator)
        if self.kind == "image":
            from regraft.data.pixels import change_pixels, change_places

            if "mask" in inputs:
                again = np.random.default_rng()
                again.bit_generator.state = chance.bit_generator.state  # the same windows
                inputs = {**inputs, "mask": change_places(inputs["mask"], changes, again, size=size)}
            return {**inputs, "image": change_pixels(inputs["image"], changes, chance, size=size)}
        if self.kind == "audio":
            from regraft.data.waves import change_waves

            return change_waves(inputs, changes, chance)
        from regraft.data.words import change_words

        return change_words(inputs, changes, chance, tokenizer=self.tokenizer)

    def mix(
        self, inputs: Mapping[str, Tensor], target_probabilities: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Every example mixed with another of its batch, and ``target_probabilities`` (B, k) with it; before or after ``prepare``.
        With both mixup and cutmix, each batch gets one of them at random."""
        choices = [(name, value) for name, value in self.values if name in MIXING]
        if not choices:
            return dict(inputs), target_probabilities
        from regraft.data import mixing

        chance = _chance(generator)
        name, alpha = choices[chance.integers(len(choices))]
        image, targets = getattr(mixing, name)(inputs["image"], target_probabilities, alpha, chance)
        return {**inputs, "image": image}, targets


def strength(name: str, value: Value, kind: InputKind) -> float:
    """The number meant by ``value``, checked against what ``name`` takes and against the kind of input."""
    fitting = [known for known, knob in KNOBS.items() if knob.kind == kind]
    if name not in KNOBS:
        raise RequestError(f"augmentation {name!r}", "no augmentation of that name", suggest(name, fitting or KNOBS))
    knob = KNOBS[name]
    if knob.kind != kind:
        raise RequestError(f"augmentation {name!r} for {kind}", f"{name} changes {knob.kind} inputs only", suggest(name, fitting))
    if isinstance(value, bool):
        return knob.usual if value else 0.0
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= knob.high or (knob.whole and number != int(number)):
        found = f"{name} takes a {'whole number' if knob.whole else 'number'} in 0..{knob.high:g}"
        raise RequestError(f"augmentation {name}={value!r}", found, f"{name}={knob.usual:g}")
    return number


def _chance(generator: torch.Generator) -> np.random.Generator:
    """One draw from torch's generator seeds numpy's: it has the beta distribution, and small draws cost a tenth."""
    import torch

    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator, device=generator.device)))
