"""Which feed a phase gets: from the cache where what lies below its boundary is frozen and gives the same every time, else live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.cache.boundary import Boundary
from regraft.cache.key import key
from regraft.cache.layout import layout_of
from regraft.cache.placeholder import NotReproduced
from regraft.data.augment import Augmentation
from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded, prepare
from regraft.errors import PlanError, StorageError
from regraft.train.course import Course
from regraft.train.feed import CachedFeed, Feed, LiveFeed
from regraft.train.run import Run
from regraft.train.seeding import seed_of
from regraft.trunk.trunk import Inputs

if TYPE_CHECKING:
    from regraft.cache.entries import Entries
    from regraft.cache.store import Cache

PROBED = 4
TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 1e-2}
"""How far cached logits may be from live ones on the probe batch, by the precision of the run."""


class Source:
    """Makes the feeds of a run's phases. Without a ``cache`` all of them are live."""

    def __init__(self, run: Run, train: Encoded, valid: Encoded | None, cache: Cache | None = None) -> None:
        self.run, self.train, self.valid, self.cache = run, train, valid, cache
        trunk, pairs = run.network.trunk, run.settings.augment
        self.augmentation = Augmentation.of(pairs, trunk.input.kind, tokenizer=trunk.tokenizer) if pairs else None
        fitting, chosen = run.task.augmentations, self.augmentation.values if self.augmentation else ()
        unfit = set() if fitting is None else {name for name, _ in chosen} - fitting
        if unfit:
            raise PlanError(f"augment {run.task.name} with {', '.join(sorted(unfit))}", "targets have places, and these move what stands there",
                            f"leave it out, or use {', '.join(sorted(fitting)) or 'none'}")  # fmt: skip

    def feeds(self, course: Course) -> tuple[Feed, tuple[Feed, Encoded] | None]:
        """For the training split, and for valid with the split itself, in the present phase. Why a phase that could be cached is
        not is noted in the history."""
        if self._may_cache(course, self.augmentation):
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

    def _may_cache(self, course: Course, augmentation: Augmentation | None) -> bool:
        """A boundary above the door, more than one pass, and the same values in every pass: nothing random, or a few fixed views of it."""
        run = self.run
        once = course.steps <= course.steps_per_epoch
        steady = augmentation is None or not augmentation.is_random or (run.settings.cache_views > 0 and not augmentation.mixes)
        return self.cache is not None and run.settings.cache and not run.present.live and run.present.boundary > 0 and not once and steady

    def _cached(self, augmentation: Augmentation | None) -> tuple[Feed, tuple[Feed, Encoded] | None]:
        run = self.run
        boundary = Boundary(run.network, min(run.present.boundary, len(run.network.trunk.stages)))
        batch = self._prepared(self.train, np.arange(min(PROBED, len(self.train))), None, 0)
        with run.precision.autocast():
            equality = boundary.examine(batch, tolerance=TOLERANCE[run.precision.format])
        if not equality.holds:
            raise NotReproduced(f"a cache below {boundary.name}", str(equality), "train this phase live")
        views = run.settings.cache_views if augmentation is not None and augmentation.is_random else 0
        numbers = [(augmentation, view) for view in range(views)] or [(None, 0)]
        train = self._feed(boundary, self.train, numbers)
        return train, None if self.valid is None else (self._feed(boundary, self.valid, [(None, 0)]), self.valid)

    def _feed(self, boundary: Boundary, encoded: Encoded, numbers: list[tuple[Augmentation | None, int]]) -> CachedFeed:
        views = [self._entries(boundary, encoded, augmentation, view) for augmentation, view in numbers]
        return CachedFeed(boundary=boundary, views=views, encoded=encoded, device=self.run.device)

    def _entries(self, boundary: Boundary, encoded: Encoded, augmentation: Augmentation | None, view: int) -> Entries:
        """What enters the boundary for every row: found in the cache, or computed now. Below the head that is the pooled features."""
        run = self.run
        assert self.cache is not None
        pooled = boundary.index == len(run.network.trunk.stages) and hasattr(run.network.head, "pool")
        name = key(
            run.network,
            boundary.index,
            encoded,
            preprocessing=augmentation.json() if augmentation else None,
            view=(view, run.settings.seed if augmentation else 0),
            compute=run.precision.compute,
            pooled=pooled,
        )
        held = self.cache.get(name)
        if held is not None:
            return held

        def capture(inputs: Inputs) -> dict[str, Tensor]:
            with run.precision.autocast():
                return boundary.capture_pooled(inputs) if pooled else boundary.capture(inputs)

        with run.precision.autocast():
            layout = layout_of(boundary, self._prepared(encoded, np.arange(min(PROBED, len(encoded))), None, 0), pooled=pooled)
        batches = self._batches(encoded, augmentation, view)
        return self.cache.fill(name, batches, capture, layout=layout, num_rows=len(encoded), lengths=encoded.lengths)

    def _batches(self, encoded: Encoded, augmentation: Augmentation | None, view: int) -> Iterator[tuple[NDArray[np.integer], Inputs]]:
        for rows in evaluation_batches(len(encoded), self.run.micro_batch, lengths=encoded.lengths):
            yield rows, self._prepared(encoded, rows, augmentation, view)

    def _prepared(self, encoded: Encoded, rows: NDArray[np.integer], augmentation: Augmentation | None, view: int) -> dict[str, Tensor]:
        spec, inputs = self.run.network.trunk.input, encoded.batch(rows)
        if augmentation is not None:
            generator = torch.Generator().manual_seed(seed_of(self.run.settings.seed, "view", view, int(rows[0])))
            inputs = augmentation.apply(inputs, generator, size=spec.size)
        return prepare(inputs, spec, device=self.run.device)
