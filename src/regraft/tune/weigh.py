"""Is reading the frozen part cheaper than computing it? Weighed phase by phase, before anything is spent; the plan says which and why."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

from regraft.cache import worth
from regraft.errors import StorageError
from regraft.plan.caching import computed_from, is_cached, is_kept, shared
from regraft.plan.plan import Plan
from regraft.tune.decide import mean_length
from regraft.tune.job import Job

NOTICEABLE_S = 1.0
"""A loss below it is not worth a choice: rates that were measured in a moment are no better than that."""
CACHE_BYTES = 20 << 30
"""What the cache of a store may hold."""
DISK_FRACTION = 0.8
"""Of the free disk, what the cache may take."""


def weighed(plan: Plan, job: Job, *, gflops: float, folder: Path, limit_bytes: int) -> Plan:
    """``plan``, forecast already, with every phase set to train live whose entries would cost more to read than to compute.

    ``gflops``: what this machine reaches on the trunk. ``folder``: of the cache, whose disk is measured. A phase in one pass reads nothing back
    and is not asked about; one that is solved needs only pooled features, which are always kept.
    """
    asked = [index for index in range(len(plan.phases)) if _is_open(plan, index)]
    if not asked or not gflops:
        return plan
    try:
        rates = worth.rates(folder)
    except StorageError:  # nothing can be written there: the run will say so, and train live
        return plan
    limit = min(limit_bytes, int(DISK_FRACTION * shutil.disk_usage(folder).free))
    phases = list(plan.phases)
    for index in asked:
        found = worth.predict(_work(plan, index, job), rates, gflops=gflops, limit_bytes=limit)
        if found.cached_s - found.live_s > NOTICEABLE_S:
            phases[index] = replace(phases[index], live=found.reason)
    return replace(plan, phases=tuple(phases))


def _is_open(plan: Plan, at: int) -> bool:
    return plan.phases[at].solver == "gradient" and is_cached(plan, plan.phases[at]) and is_kept(plan, at)


def _passes(plan: Plan, at: int, *, is_present: bool) -> int:
    """How often each row is needed: by the phase itself, or by all that share the pass which it begins."""
    group = (at,) if is_present else shared(plan, at)
    return math.ceil(sum(plan.settings.epochs * plan.phases[index].epochs_fraction for index in group))


def _work(plan: Plan, index: int, job: Job) -> worth.Work:
    phase, forecast = plan.phases[index], plan.cost["phases"][index]
    is_present = computed_from(plan, index) == phase.boundary
    length, probed = mean_length(job), job.outline.probe_length
    scale = length / probed if length and probed else 1.0
    rows = sum(len(job.dataset.splits[split]) for split in ("train", "valid") if split in job.dataset.splits)
    return worth.Work(
        num_rows=rows,
        row_bytes=forecast["cache_bytes"] / rows,
        prefix_macs=scale * sum(stage.macs for stage in job.outline.stages[: phase.boundary]),
        passes=_passes(plan, index, is_present=is_present),
        batch_size=plan.settings.batch_size,
        is_present=is_present,
    )
