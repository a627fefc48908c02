"""Where a step's inputs come from. Live: encoded, augmented, prepared, through the whole network. Cached: what entered the boundary
stage is read, and only what lies above it runs. The loop sees ``parts`` and ``logits`` and does not know which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.data.encode import Encoded, centre, prepare
from regraft.spec import COLUMNS
from regraft.trunk.network import Network

Rows = NDArray[np.integer]
PLACES = 3
"""Dimensions of targets that have a class for each pixel, (B, H, W)."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Examples that go through the network at once. ``targets``: as ``Encoded.target_batch`` gives them or, where examples were mixed, (B, k).
    ``rows``: which ones of the split they are."""

    inputs: dict[str, Tensor]
    targets: Tensor
    rows: Rows
    entries: Mapping[str, Tensor] = field(default_factory=dict)

    def copied(self) -> Part:
        """A stage that begins with an operation in place writes over the entries that it is given; the next forward shall find them whole."""
        return replace(self, entries={name: tensor.clone() for name, tensor in self.entries.items()})


class Feed(Protocol):
    @property
    def is_cached(self) -> bool: ...

    def parts(self, rows: Rows, *, size: int, seed: int, epoch: int) -> list[Part]:
        """``rows`` in parts of at most ``size``, on the device. Called from a background thread; draws only from ``seed``."""

    def logits(self, part: Part) -> Tensor: ...


def as_probabilities(targets: Tensor, num_classes: int) -> Tensor:
    """(B,) class indices as one-hot rows (B, k), float32: the form in which examples can be mixed."""
    return nn.functional.one_hot(targets, num_classes).float()


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveFeed:
    """``augmentation``: of the training split; ``None`` elsewhere. It works on the whole batch before that is cut into parts, so that
    the parts together are the batch, however small they have to be. ``mixable(targets, outputs of the head) -> (B, k)``: targets that can be mixed."""

    network: Network
    encoded: Encoded
    device: torch.device
    augmentation: Any = None
    mixable: Callable[[Tensor, int], Tensor] = as_probabilities
    is_cached = False

    def parts(self, rows: Rows, *, size: int, seed: int, epoch: int) -> list[Part]:
        inputs, changed = self.encoded.batch(rows), None
        if self.augmentation is not None:
            inputs, changed = self._augmented(inputs, rows, torch.Generator().manual_seed(seed))
        found = []
        for cut in cuts(len(rows), size):
            targets = self._placed(self.encoded.target_batch(rows[cut])) if changed is None else changed[cut]
            part = self._prepared(trim({name: tensor[cut] for name, tensor in inputs.items()}))
            found.append(Part(part, targets.to(self.device), rows[cut]))
        return found

    def logits(self, part: Part) -> Tensor:
        logits: Tensor = self.network(part.inputs)
        return logits

    def _prepared(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return prepare(pinned(inputs, self.device), self.network.trunk.input, device=self.device)

    def _placed(self, targets: Tensor) -> Tensor:
        """Masks of images that were kept with a margin: the middle, which is what ``prepare`` leaves of the images."""
        return centre(targets, self.network.trunk.input.size) if targets.ndim == PLACES else targets

    def _augmented(self, inputs: dict[str, Tensor], rows: Rows, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor | None]:
        """The inputs and, where examples were mixed or their places moved, the targets that they have now: (B, k), or (B, H, W)."""
        targets = self.encoded.target_batch(rows)
        has_places = targets.ndim == PLACES
        beside = {"mask": targets} if has_places else {}
        inputs = self.augmentation.apply({**inputs, **beside}, generator, size=self.network.trunk.input.size)
        if has_places:
            return inputs, self._placed(inputs.pop("mask"))
        if not self.augmentation.mixes:
            return inputs, None
        outputs = int(self.network.head.linear.out_features)  # type: ignore[union-attr, arg-type]
        targets = self.mixable(targets, outputs)
        mixed: tuple[dict[str, Tensor], Tensor] = self.augmentation.mix(inputs, targets, generator)
        return mixed


@dataclass(frozen=True, eq=False, kw_only=True)
class CachedFeed:
    """``views``: entries of the split, one set for each augmented view (one where nothing is random); epoch e reads view e mod K.
    Pixels are not read again: their shape is known, and nothing above the boundary looks at them."""

    boundary: Any
    views: Sequence[Any]
    encoded: Encoded
    device: torch.device
    is_cached = True

    def parts(self, rows: Rows, *, size: int, seed: int, epoch: int) -> list[Part]:
        entries = self.views[epoch % len(self.views)]
        spec = self.boundary.network.trunk.input
        found = []
        for cut in cuts(len(rows), size):
            inputs = {} if spec.kind == "image" else prepare(pinned(self.encoded.batch(rows[cut]), self.device), spec, device=self.device)
            read = {
                name: tensor.to(self.device, non_blocking=True) for name, tensor in pinned(entries.batch(rows[cut]), self.device).items()
            }
            found.append(Part(inputs, self.encoded.target_batch(rows[cut]).to(self.device), rows[cut], read))
        return found

    def logits(self, part: Part) -> Tensor:
        logits: Tensor = self.boundary.resume(part.entries, part.inputs)
        return logits


def pinned(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """In memory that a CUDA device copies from by itself while this thread goes on; for other devices as they are."""
    return {name: tensor.pin_memory() for name, tensor in tensors.items()} if device.type == "cuda" else tensors


def cuts(n: int, size: int) -> Iterator[slice]:
    """0 .. n in as few pieces of at most ``size`` as there can be, of nearly equal length: no piece of one example at the end,
    which batch-norm could not take."""
    pieces = -(-n // size)
    bounds = [round(n * piece / pieces) for piece in range(pieces + 1)]
    return (slice(low, high) for low, high in pairwise(bounds))


def trim(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Text without the columns in which every row is padding."""
    mask = inputs.get("attention_mask")
    if mask is None or "input_ids" not in inputs:
        return inputs
    used = mask.any(0).nonzero()
    if not len(used) or (len(used) == mask.shape[1]):
        return inputs
    low, high = int(used[0]), int(used[-1]) + 1
    return {name: tensor[:, low:high] if tensor.shape[:2] == mask.shape and name != COLUMNS else tensor for name, tensor in inputs.items()}
