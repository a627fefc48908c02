"""Does ``compile=true`` pay? Full fine-tuning with the stages that train compiled and not, step by step, and the seconds that compiling takes.

    OMP_NUM_THREADS=1 python benchmarks/compiled.py [minilm vision] [--steps 20] [--repeats 2]

The compiler's own caches on disk are emptied first: what is measured is the first run on a machine. Steps are compared with the same rows, in turn.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from roofline import BATCH, ROWS, WARM, Watch, is_fresh, opened

from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.train.fit import fit
from regraft.tune.job import Job

fitting = importlib.import_module("regraft.train.fit")


def timed(job: Job, steps: int, compile: bool) -> tuple[float, float]:
    """Median seconds of a step, and seconds that compiling took."""
    per_epoch = -(-len(job.encoded("train")) // BATCH)
    settings = Settings(epochs=(steps + WARM) / per_epoch, lr=1e-4, batch_size=BATCH, cache=False, precision="fp32", compile=compile)
    plan = Plan(task=job.dataset.task, model=job.reference, strategy="full", stages=(*job.outline.stage_names, "head"),
                phases=parse("full")(job.outline), settings=settings)  # fmt: skip
    network, watch, spent = job.network(dropout=0.1, seed=0, fresh=is_fresh(job)), Watch(), [0.0]
    own = fitting.compiled

    def measured(*args: Any) -> Any:
        began = time.perf_counter()
        made = own(*args)
        spent[0] = time.perf_counter() - began
        return made

    fitting.compiled = measured
    try:
        with tempfile.TemporaryDirectory() as folder:
            fit(network, plan, task=job.task, data={"train": job.encoded("train"), "valid": None}, folder=Path(folder), observer=watch)  # type: ignore[arg-type]
    finally:
        fitting.compiled = own
    return statistics.median(watch.steps.tolist()), spent[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["minilm", "vision"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: three steps, once")
    args = parser.parse_args()
    steps, repeats = (3, 1) if args.quick else (args.steps, args.repeats)
    print(
        "| job | eager, ms a step | compiled, ms a step | compiled ÷ eager | compiling, s: first, again |\n|---|---|---|---|---|",
        flush=True,
    )
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as code:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = code
            job = opened(name, Path(folder), rows=ROWS.get(name, BATCH * (steps + WARM)))
            taken: dict[str, list[float]] = {"eager": [], "compiled": []}
            spent: list[float] = []
            for turn in range(repeats):
                for how in ("eager", "compiled") if turn % 2 == 0 else ("compiled", "eager"):
                    step_s, compiling_s = timed(job, steps, how == "compiled")
                    taken[how].append(step_s)
                    spent += [compiling_s] if how == "compiled" else []
        eager, fast = (statistics.median(taken[how]) for how in ("eager", "compiled"))
        shown = ", ".join(f"{one:.0f}" for one in spent)
        print(f"| {name} | {eager * 1e3:.0f} | {fast * 1e3:.0f} | {fast / eager:.2f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
