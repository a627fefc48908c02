"""Which feed a phase gets: from the cache where what lies below its boundary is frozen and gives the same every time, else live."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from regraft.cache.boundary import Boundary
from regraft.cache.placeholder import NotReproduced
from regraft.data.augment import Augmentation
from regraft.data.encode import Encoded, prepare
from regraft.errors import PlanError, StorageError
from regraft.plan.caching import computed_from, is_kept, shared
from regraft.surgery.statistics import StatisticsHead
from regraft.train.feed import CachedFeed, Feed, LiveFeed
from regraft.train.prefix import PROBED, Prefix, View
from regraft.train.run import Run

if TYPE_CHECKING:
    from regraft.cache.store import Cache

TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 1e-2}
"""How far cached logits may be from live ones on the probe batch, by the precision of the run."""


class Source:
    """Makes the feeds of a run's phases. Without a ``cache`` all of them are live."""

    def __init__(self, run: Run, train: Encoded, valid: Encoded | None, cache: Cache | None = None) -> None:
        self.run, self.train, self.valid, self.cache = run, train, valid, cache
        self.prefix = Prefix(run, cache) if cache is not None else None
        trunk, pairs = run.network.trunk, run.settings.augment
        self.augmentation = Augmentation.of(pairs, trunk.input.kind, tokenizer=trunk.tokenizer) if pairs else None
        fitting, chosen = run.task.augmentations, self.augmentation.values if self.augmentation else ()
        unfit = set() if fitting is None else {name for name, _ in chosen} - fitting
        if unfit:
            raise PlanError(f"augment {run.task.name} with {', '.join(sorted(unfit))}", "targets have places, and these move what stands there",
                            f"leave it out, or use {', '.join(sorted(fitting)) or 'none'}")  # fmt: skip
        if self.augmentation is not None and self.augmentation.is_random and run.settings.cache_views and run.task.form.target == "mask":
            raise PlanError(f"cache_views={run.settings.cache_views} with masks", "random views of the images can be kept, not of what their masks were moved to",
                            "--set cache_views=0")  # fmt: skip

    def feeds(self) -> tuple[Feed, tuple[Feed, Encoded] | None]:
        """For the training split, and for valid with the split itself, in the present phase. Why a phase that could be cached is
        not is noted in the history."""
        if self._may_cache(self.augmentation):
            try:
                return self._cached(self.augmentation)
            except (NotReproduced, StorageError) as error:
                note = f"phase {self.run.present.name!r} is trained live: {error.asked}: {error.found}"
                if note not in self.run.history.events:  # a resumed run finds the same again
                    self.run.history.events.append(note)
        run = self.run
        return LiveFeed(
            network=run.network, encoded=self.train, device=run.device, augmentation=self.augmentation, mixable=run.task.mixable
        ), self.live_valid()

    def live_valid(self) -> tuple[Feed, Encoded] | None:
        if self.valid is None:
            return None
        return LiveFeed(network=self.run.network, encoded=self.valid, device=self.run.device), self.valid

    def before_solving(self) -> None:
        """One pass brings the features that the head is solved on and what enters lower stages for later phases; it begins at what is kept of earlier ones."""
        plan, at = self.run.plan, self.run.phase
        if self._pools() and (len(shared(plan, at)) > 1 or computed_from(plan, at)):
            with suppress(NotReproduced, StorageError):  # the later phase will say so
                self._cached(None)

    def pooled_valid(self) -> tuple[Feed, Encoded] | None:
        """Valid, for a head alone: from its pooled features, which are kept for the next time."""
        if self._pools():
            with suppress(NotReproduced, StorageError):
                return self._cached_valid(self._boundary())
        return self.live_valid()

    def _pools(self) -> bool:
        """Are pooled features of the run's precision all that the head reads, and is there a place for them?"""
        head = self.run.network.head
        return self.prefix is not None and self.run.settings.cache and hasattr(head, "pool") and not isinstance(head, StatisticsHead)

    def _may_cache(self, augmentation: Augmentation | None) -> bool:
        """A boundary above the door, more than one reading, and the same values in every one: nothing random, or a few fixed views of it."""
        run = self.run
        steady = augmentation is None or not augmentation.is_random or (run.settings.cache_views > 0 and not augmentation.mixes)
        return self.prefix is not None and steady and run.present.boundary > 0 and is_kept(run.plan, run.phase)

    def _cached(self, augmentation: Augmentation | None) -> tuple[Feed, tuple[Feed, Encoded] | None]:
        boundary = self._boundary()
        views = self.run.settings.cache_views if augmentation is not None and augmentation.is_random else 0
        train = [View(encoded=self.train, augmentation=augmentation, number=view) for view in range(views)] or [View(encoded=self.train)]
        return self._feed(boundary, self.train, train), self._cached_valid(boundary)

    def _cached_valid(self, boundary: Boundary) -> tuple[Feed, Encoded] | None:
        return None if self.valid is None else (self._feed(boundary, self.valid, [View(encoded=self.valid)]), self.valid)

    def _boundary(self) -> Boundary:
        """Of the present phase. Raises ``NotReproduced`` where cached and live logits differ on a probe batch."""
        run = self.run
        boundary = Boundary(run.network, min(run.present.boundary, len(run.network.trunk.stages)))
        batch = prepare(self.train.batch(np.arange(min(PROBED, len(self.train)))), run.network.trunk.input, device=run.device)
        with run.precision.autocast():
            equality = boundary.examine(batch, tolerance=TOLERANCE[run.precision.format])
        if not equality.holds:
            raise NotReproduced(f"a cache below {boundary.name}", str(equality), "train this phase live")
        return boundary

    def _feed(self, boundary: Boundary, encoded: Encoded, views: list[View]) -> CachedFeed:
        assert self.prefix is not None
        entries = [self.prefix.entries(boundary.index, view) for view in views]
        return CachedFeed(boundary=boundary, views=entries, encoded=encoded, device=self.run.device)
