"""Which feed a phase gets: from the cache where what lies below its boundary is frozen and gives the same every time, else live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.augment import Augmentation
from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded, prepare
from regraft.train.course import Course
from regraft.train.feed import CachedFeed, Feed, LiveFeed
from regraft.train.run import Run
from regraft.train.seeding import seed_of

PROBED = 4
TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 1e-2}
"""How far cached logits may be from live ones on the probe batch, by the precision of the run."""


class Source:
    """Makes the feeds of a run's phases. ``cache``: a ``regraft.cache.Cache``, ``None`` to train live."""

    def __init__(self, run: Run, train: Encoded, valid: Encoded | None, cache: Any = None) -> None:
        self.run, self.train, self.valid, self.cache = run, train, valid, cache
        trunk, pairs = run.network.trunk, run.settings.augment
        self.augmentation = Augmentation.of(pairs, trunk.input.kind, tokenizer=trunk.tokenizer) if pairs else None

    def feeds(self, course: Course) -> tuple[Feed, Feed | None]:
        """For the training split and for valid, in the present phase."""
        closed = self.run.present.solver == "closed_form"
        augmentation = None if closed else self.augmentation
        boundary = self._boundary(course, augmentation)
        if boundary is None:
            live = LiveFeed(network=self.run.network, encoded=self.train, device=self.run.device, augmentation=augmentation)
            return live, self._live(self.valid) if self.valid is not None else None
        views = self.run.settings.cache_views if augmentation else 1
        seeds = [seed_of(self.run.settings.seed, "view", view) if augmentation else None for view in range(views)]
        train = self._cached(boundary, self.train, [(seed, augmentation) for seed in seeds])
        return train, self._cached(boundary, self.valid, [(None, None)]) if self.valid is not None else None

    def _live(self, encoded: Encoded) -> LiveFeed:
        return LiveFeed(network=self.run.network, encoded=encoded, device=self.run.device)

    def _boundary(self, course: Course, augmentation: Any) -> Any:
        """Where the present phase can be cut, or ``None`` with the reason in the history."""
        from regraft.cache.boundary import Boundary

        run, index = self.run, min(self.run.present.boundary, len(self.run.network.trunk.stages))
        once = run.present.solver == "gradient" and course.steps <= course.steps_per_epoch
        if self.cache is None or not run.settings.cache or index == 0 or once:
            return None
        if augmentation is not None and (augmentation.mixes or not run.settings.cache_views):
            return None
        boundary = Boundary(run.network, index)
        batch = prepare(self.train.batch(np.arange(min(PROBED, len(self.train)))), run.network.trunk.input, device=run.device)
        with run.precision.autocast():
            equality = boundary.examine(batch, tolerance=TOLERANCE[run.precision.format])
        if equality.holds:
            return boundary
        run.history.events.append(f"phase {run.present.name!r}: {equality}")
        return None

    def _cached(self, boundary: Any, encoded: Encoded, views: list[tuple[int | None, Any]]) -> CachedFeed:
        entries = [self._entries(boundary, encoded, seed, augmentation) for seed, augmentation in views]
        return CachedFeed(boundary=boundary, views=entries, encoded=encoded, device=self.run.device)

    def _entries(self, boundary: Any, encoded: Encoded, seed: int | None, augmentation: Any) -> Any:
        from regraft.cache.key import key

        run = self.run
        view = "" if seed is None else f"{seed}:{sorted(augmentation.json().items())}"
        name = key(run.network, boundary.index, encoded, preprocessing=encoded.preprocessing, dtype=run.precision.format, view=view)
        held = self.cache.get(name)
        if held is not None:
            return held
        batches = evaluation_batches(len(encoded), run.micro_batch, lengths=encoded.lengths)
        return self.cache.fill(name, batches, self._capture(boundary, encoded, seed, augmentation))

    def _capture(
        self, boundary: Any, encoded: Encoded, seed: int | None, augmentation: Any
    ) -> Callable[[NDArray[np.integer]], dict[str, Tensor]]:
        run = self.run

        def capture(rows: NDArray[np.integer]) -> dict[str, Tensor]:
            inputs = encoded.batch(rows)
            if seed is not None:
                generator = torch.Generator().manual_seed(seed_of(seed, int(rows[0])))
                inputs = augmentation.apply(inputs, generator, size=run.network.trunk.input.size)
            with run.precision.autocast():
                captured: dict[str, Tensor] = boundary.capture(prepare(inputs, run.network.trunk.input, device=run.device))
            return captured

        return capture
