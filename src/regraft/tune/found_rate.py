"""``--lr find``: the learning rate by a range test on the job's own network and examples."""

from __future__ import annotations

from dataclasses import replace

import torch

from regraft import lineage
from regraft.cache import Cache
from regraft.plan.plan import Plan
from regraft.train import lr_range
from regraft.trunk import machine
from regraft.tune import reference, teacher
from regraft.tune.decide import forecast
from regraft.tune.job import Job


def with_found_rate(made: Plan, job: Job, store: lineage.Store, cache: Cache) -> Plan:
    """``made`` with the rate that the test suggests, said, and its forecast made anew."""
    reference.refer(job, cache)
    asked = teacher.asked(made, job, store, cache=cache)
    network = job.network(dropout=made.settings.dropout, seed=made.settings.seed)
    with torch.random.fork_rng():
        train = job.learned("train", made.settings)
        found = lr_range.find(network, made, job.fitting(train), {"train": train, "asked": asked})
    settings = replace(made.settings, lr=found.suggested)
    reason = f"lr {found.suggested:.2g}: a tenth of the rate at which the loss was lowest in a range test of {len(found.curve)} steps (Smith 2015)"
    kept = tuple(r for r in made.reasons if not r.startswith("lr "))
    return forecast(replace(made, settings=settings, reasons=(*kept, reason)), job, machine.measure())
