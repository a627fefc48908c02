"""Eight plans on one trunk, together and one by one: heads at four rates, the top block at two, the top two blocks at two; three epochs each.

    python benchmarks/race.py [--quick]

Together they share one cache, the lowest boundary first, so that the higher ones start from its entries. One by one each has a cache of its own that is
empty at first. Live has none. All three in one process, in turn; the time is that of training, the filling of caches included.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from harness import job_accuracy

from cache import data_of
from regraft.cache import Cache
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.train.fit import fit
from regraft.tune.job import Job, open_data, open_job
from regraft.tune.request import Request

PLANS = [
    ("top(n=2)", 1e-4),
    ("top(n=2)", 3e-4),
    ("top(n=1)", 1e-4),
    ("top(n=1)", 3e-4),
    *(("top(n=0)", lr) for lr in (1e-3, 3e-3, 1e-2, 3e-2)),
]
CACHE_BYTES = 20 << 30


def planned(job: Job, strategy: str, lr: float, epochs: float) -> Plan:
    settings = Settings(epochs=epochs, lr=lr, batch_size=32, precision="fp32")
    return Plan(task=job.dataset.task, model=job.reference, strategy=strategy, stages=(*job.outline.stage_names, "head"),
                phases=parse(strategy)(job.outline), settings=settings)  # fmt: skip


def trained(job: Job, plan: Plan, cache: Cache | None) -> tuple[float, float]:
    """Seconds, and accuracy on test."""
    plan = replace(plan, settings=replace(plan.settings, cache=cache is not None))
    network = job.network(dropout=0.1, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        history = fit(network, plan, task=job.task, data={"train": job.encoded("train"), "valid": None}, folder=Path(folder), cache=cache)
    return history.train_s, job_accuracy(job, network)


def all_plans(job: Job, how: str, epochs: float) -> tuple[float, list[float]]:
    """Seconds of all eight, and their accuracies."""
    seconds, accuracies = 0.0, []
    with tempfile.TemporaryDirectory() as shared:
        together = Cache(shared, CACHE_BYTES)
        for strategy, lr in PLANS:
            with tempfile.TemporaryDirectory() as own:
                cache = {"together": together, "one by one": Cache(own, CACHE_BYTES), "live": None}[how]
                took, accuracy = trained(job, planned(job, strategy, lr, epochs), cache)
            seconds, accuracies = seconds + took, [*accuracies, accuracy]
    return seconds, accuracies


def ideal(job: Job, epochs: float) -> dict[str, float]:
    """Forward passes of the whole trunk that each way costs by the count of operations; a backward pass is two."""
    macs = [stage.macs for stage in job.outline.stages]
    below = [sum(macs[: len(macs) - int(strategy[-2])]) / sum(macs) for strategy, _ in PLANS]
    above = sum(3 * epochs * (1 - p) for p in below)
    return {"together": max(below) + above, "one by one": sum(below) + above, "live": sum(epochs * p for p in below) + above}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: 64 rows, once")
    args = parser.parse_args()
    rows, repeats = (64, 1) if args.quick else (args.rows, args.repeats)
    with tempfile.TemporaryDirectory() as folder:
        request = Request(data=data_of("banking77", rows, Path(folder)), settings={"valid_fraction": 0.0})
        job = open_job(request, open_data(request), "bundled:minilm")
        counted, ways = ideal(job, args.epochs), ["together", "one by one", "live"]
        taken: dict[str, list[float]] = {how: [] for how in ways}
        scores: dict[str, list[float]] = {}
        for turn in range(repeats):
            for how in ways if turn % 2 == 0 else ways[::-1]:
                seconds, scores[how] = all_plans(job, how, args.epochs)
                taken[how].append(seconds)
    print(f"### race: eight plans, {rows:,} rows of banking77, {args.epochs:g} epochs\n")
    print("| how | s, median (range) | ÷ together | by the count | best accuracy on test |\n|---|---|---|---|---|")
    for how in ways:
        ratio = statistics.median(own / base for own, base in zip(taken[how], taken["together"], strict=True))
        print(f"| {how} | {statistics.median(taken[how]):.1f} ({min(taken[how]):.1f}-{max(taken[how]):.1f}) | {ratio:.2f} | "
              f"{counted[how] / counted['together']:.2f} | {max(scores[how]):.4f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
