"""What enters the boundaries of a plan's phases, for a split: read where it is known, else computed in as few passes as can be.

A pass starts from the highest entries below that anybody has left (this run, another plan, a parent): only the stages between run. It
captures on its way what later phases will need, as long as nothing below them moves until they begin. So gradual unfreezing, whose
boundaries walk down, takes one pass over the frozen trunk for all its phases, and a probe and the tuning after it take one together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.cache import rounding
from regraft.cache.boundary import Boundary
from regraft.cache.derive import Pass, capture_for, plan_passes
from regraft.cache.key import key, steady
from regraft.cache.layout import POOLED, Layout, layout_of
from regraft.cache.placeholder import NotReproduced
from regraft.cache.pooled import capture_batches
from regraft.data.augment import Augmentation
from regraft.data.encode import Encoded, prepare
from regraft.errors import StorageError
from regraft.plan.caching import shared
from regraft.train.ahead import ahead
from regraft.train.run import Run
from regraft.train.seeding import seed_of
from regraft.trunk.trunk import Inputs

if TYPE_CHECKING:
    from regraft.cache.entries import Entries
    from regraft.cache.store import Cache

PROBED = 4
HALF_TOLERANCE = 1e-2
"""The largest change of the logits, relative to the largest of them, for which entries that do not fit otherwise are stored in half precision."""


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """A split as the prefix sees it: as it is, or as random view ``number`` of ``augmentation``."""

    encoded: Encoded
    augmentation: Augmentation | None = None
    number: int = 0


class Prefix:
    """The frozen part of ``run``'s present phase, by way of ``cache``. Entries depend on their key alone: not on the batch size of a run, nor
    on where it was stopped."""

    def __init__(self, run: Run, cache: Cache) -> None:
        self.run, self.cache = run, cache
        self.top = len(run.network.trunk.stages)

    def entries(self, index: int, view: View) -> Entries:
        """What enters stage ``index`` for every row of ``view``; below the head, where that pools, the pooled features.

        Raises ``StorageError`` where it cannot be kept, ``NotReproduced`` where it cannot be told apart by row.
        """
        with steady(self.run.network):
            stored = self._stored_dtype(index, view)
            name = self._key(index, view, stored)
            held = self.cache.get(name)
            if held is not None:
                return held
            with self.cache.turn(name):
                return self.cache.get(name) or self._made(index, view, stored)

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _made(self, index: int, view: View, stored: str | None) -> Entries:
        try:
            return self._filled(index, view, stored)
        except StorageError as full:
            half, effect = self._smaller(index, view, full)
            found = self.cache.get(self._key(index, view, half)) or self._alone(index, view, half)
            self._say(f"cached activations are kept in {half}, as they do not fit otherwise: logits change by {effect:.1e} of the largest")
            return found

    def _filled(self, index: int, view: View, stored: str | None) -> Entries:
        """Computed now, and with it what later phases need; where that cannot be had together, it alone."""
        with_it = {self._boundary(at) for at in shared(self.run.plan, self.run.phase)} | {index}
        missing = {at for at in with_it if at == index or self._key(at, view, stored) not in self.cache}
        try:
            self._fill(missing, view, stored)
        except (StorageError, NotReproduced):
            if missing == {index}:
                raise
            return self._alone(index, view, stored)
        return self.cache.opened(self._key(index, view, stored))

    def _alone(self, index: int, view: View, stored: str | None) -> Entries:
        self._fill({index}, view, stored)
        return self.cache.opened(self._key(index, view, stored))

    def _boundary(self, phase: int) -> int:
        return min(self.run.plan.phases[phase].boundary, self.top)

    def _pools(self, index: int) -> bool:
        return index == self.top and hasattr(self.run.network.head, "pool")

    def _key(self, index: int, view: View, stored: str | None) -> str:
        augmentation = view.augmentation
        return key(
            self.run.network,
            index,
            view.encoded,
            preprocessing=augmentation.json() if augmentation else None,
            dtype=stored,
            view=(view.number, self.run.settings.seed if augmentation else 0),
            compute=self.run.precision.compute,
            pooled=self._pools(index),
        )

    def _stored_dtype(self, index: int, view: View) -> str | None:
        """As it enters live; in bf16 where the run computes in it and that changes the logits more than storing does."""
        run = self.run
        if run.precision.format != "bf16" or self._pools(index):
            return None
        batch = self._sample(view)
        with run.precision.autocast():
            effect = rounding.effects(Boundary(run.network, index), batch).get("bfloat16", math.inf)
        return "bfloat16" if effect <= rounding.of_computing(run.network, batch, run.precision.autocast) else None

    def _smaller(self, index: int, view: View, full: StorageError) -> tuple[str, float]:
        """The half format that changes the logits least, where that is little; ``full`` is raised anew where it is not."""
        with self.run.precision.autocast():
            found = rounding.effects(Boundary(self.run.network, index), self._sample(view), pooled=self._pools(index))
        half = min(found, key=lambda name: found[name], default="")
        if not half or found[half] > HALF_TOLERANCE:
            raise full
        return half, found[half]

    def _say(self, note: str) -> None:
        if note not in self.run.history.events:
            self.run.history.events.append(note)

    def _fill(self, missing: set[int], view: View, stored: str | None) -> None:
        """The passes that it takes; a pass may start from any entries below that hold for the weights as they are."""
        present = [at for at in range(1, max(missing)) if at not in missing and self._key(at, view, None) in self.cache]
        for step in plan_passes(missing, present):
            self._pass(step, view, stored)

    def _pass(self, step: Pass, view: View, stored: str | None) -> None:
        network, rows = self.run.network, capture_batches(view.encoded)
        boundaries = {at: Boundary(network, at) for at in (*step.fills, *([step.source] if step.source else []))}
        sample, source = self._sample(view), None
        with self.run.precision.autocast():
            layouts = {self._key(at, view, stored): self._layout(boundaries[at], sample) for at in step.fills}
            for boundary in boundaries.values():
                boundary.entrance(sample)
        if step.source is not None:
            source = self.cache.opened(self._key(step.source, view, None))

        def made(place: int) -> tuple[Inputs, Mapping[str, Tensor] | None]:
            held = None if source is None else {name: tensor.to(self.run.device) for name, tensor in source.batch(rows[place]).items()}
            needs_pixels = source is None or "image" not in sample
            return self._prepared(view, rows[place]) if needs_pixels else {}, held

        with ExitStack() as stack:
            writers = stack.enter_context(
                self.cache.writing(layouts, num_rows=len(view.encoded), lengths=view.encoded.lengths, dtype=stored)
            )
            coming = stack.enter_context(closing(ahead(made, 0, len(rows))))
            for some, (inputs, held) in zip(rows, coming, strict=True):
                with self.run.precision.autocast():
                    captured = capture_for(step, boundaries, held, inputs)
                    for at, name in zip(step.fills, layouts, strict=True):
                        writers[name].add(some, self._pooled(at, captured[at], inputs))

    def _layout(self, boundary: Boundary, sample: Inputs) -> Layout:
        return layout_of(boundary, sample, pooled=self._pools(boundary.index))

    @torch.no_grad()
    def _pooled(self, index: int, captured: Mapping[str, Tensor], inputs: Inputs) -> Mapping[str, Tensor]:
        if not self._pools(index):
            return captured
        (features,) = captured.values()
        return {POOLED: self.run.network.head.pool(features, inputs.get("attention_mask"))}  # type: ignore[operator]

    def _sample(self, view: View) -> dict[str, Tensor]:
        return self._prepared(View(encoded=view.encoded), np.arange(min(PROBED, len(view.encoded))))

    def _prepared(self, view: View, rows: NDArray[np.integer] | Sequence[int]) -> dict[str, Tensor]:
        spec, inputs = self.run.network.trunk.input, view.encoded.batch(rows)
        if view.augmentation is not None:
            generator = torch.Generator().manual_seed(seed_of(self.run.settings.seed, "view", view.number, int(rows[0])))
            inputs = view.augmentation.apply(inputs, generator, size=spec.size)
        return prepare(inputs, spec, device=self.run.device)
