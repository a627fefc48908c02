"""Where the time of a training step goes: the machine's rates, the operations of each job, and the share of the matrix rate that is reached.

    OMP_NUM_THREADS=1 python benchmarks/roofline.py [minilm vision resnet18 vit_tiny] [--steps 12]

Operations are counted by ``torch.utils.flop_counter`` on the very batches of the plain loop, forward and backward (two to a multiply-add). Both loops take the same
batches of 32 in fp32 without a cache; each is timed step by step, the median counts. The split is of Regraft's own loop, by ``torch.profiler``: products
(matrix products, convolutions, attention), the optimiser (clipping and update), and all else (elementwise work, normalisation, copies, loading).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_loop import BATCH, DECAY, LR
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from cache import is_fresh, opened
from regraft.data.batching import training_batches
from regraft.data.encode import prepare
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.train.fit import fit
from regraft.tune.job import Job

WARM = 2
ROWS = {"minilm": 0, "vision": 0}
"""Of the others so many images as the steps take."""
ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "mkldnn_convolution", "convolution_backward", "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention_for_cpu_backward")  # fmt: skip
UPDATES = ("_fused_adamw_", "_foreach_norm", "_foreach_mul_", "linalg_vector_norm")


def rates() -> dict[str, float]:
    """GFLOP/s of products of two square matrices, and GB/s of a sum of two arrays into a third, best of several."""
    found = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for side in (384, 2048):
            a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
            found[f"{name} {side}"] = 2 * side**3 / best(lambda a=a, b=b: a @ b) / 1e9
    x, y, z = (torch.ones(1 << 26) for _ in range(3))
    found["GB/s"] = 3 * x.nbytes / best(lambda: torch.add(x, y, out=z)) / 1e9
    return found


def best(work: Any, seconds: float = 1.0) -> float:
    work()
    until, least = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < until:
        began = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - began)
    return least


class Watch:
    """An observer that notes when each step ended and, where it is told to, profiles the steps behind the first ones."""

    def __init__(self, profiles: bool = False) -> None:
        self.ends: list[float] = []
        self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) if profiles else None

    def on_phase(self, phase: object) -> None: ...

    def on_epoch(self, record: object) -> None: ...

    def on_step(self, record: object) -> None:
        self.ends.append(time.perf_counter())
        if self.profile is not None and len(self.ends) == WARM:
            self.profile.start()

    @property
    def steps(self) -> np.ndarray:
        return np.diff(self.ends)[WARM - 1 :]


def ours(job: Job, steps: int, watch: Watch) -> None:
    per_epoch = -(-len(job.encoded("train")) // BATCH)
    settings = Settings(epochs=(steps + WARM) / per_epoch, lr=LR, batch_size=BATCH, cache=False, precision="fp32", weight_decay=DECAY)
    plan = Plan(task=job.dataset.task, model=job.reference, strategy="full", stages=(*job.outline.stage_names, "head"),
                phases=parse("full")(job.outline), settings=settings)  # fmt: skip
    network = job.network(dropout=0.1, seed=0, fresh=is_fresh(job))
    with tempfile.TemporaryDirectory() as folder:
        fit(network, plan, task=job.task, data={"train": job.encoded("train"), "valid": None}, folder=Path(folder), observer=watch)  # type: ignore[arg-type]
    if watch.profile is not None:
        watch.profile.stop()


def plain(job: Job, steps: int) -> Iterator[tuple[int, float]]:
    """Operations (0 where they were not counted) and seconds of each step: the first pass over the batches is counted, the second timed."""
    network, train = job.network(dropout=0.1, seed=0, fresh=is_fresh(job)), job.encoded("train")
    spec = network.trunk.input
    if spec.kind == "image":
        network.to(memory_format=torch.channels_last)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, fused=True)
    batches = training_batches(len(train), BATCH, seed=0, epoch=0, lengths=train.lengths)[: steps + WARM]
    formulas = {ATTENTION: sdpa_of, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_back_of}
    counted = batches if spec.kind == "text" else batches[:1]
    operations = []
    for rows in counted:
        with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
            functional.cross_entropy(network(prepare(train.batch(rows), spec)), train.target_batch(rows)).backward()
        operations.append(counter.get_total_flops())
    optimizer.zero_grad()
    for place, rows in enumerate(batches):
        began = time.perf_counter()
        functional.cross_entropy(network(prepare(train.batch(rows), spec)), train.target_batch(rows)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if place >= WARM:
            yield operations[place % len(operations)], time.perf_counter() - began


def sdpa_of(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def sdpa_back_of(grad: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))


def split(watch: Watch) -> dict[str, float]:
    """Shares of the profiled steps' wall time."""
    assert watch.profile is not None
    whole = float(watch.steps.sum()) * 1e6
    own = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in watch.profile.key_averages()}
    products, updates = (sum(own.get(name, 0.0) for name in names) / whole for names in (PRODUCTS, UPDATES))
    return {"products": products, "optimiser": updates, "all else": 1 - products - updates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["minilm", "vision", "resnet18", "vit_tiny"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: two steps of each")
    args = parser.parse_args()
    steps = 2 if args.quick else args.steps
    machine = rates()
    print(f"### roofline: {torch.get_num_threads()} threads; " + "; ".join(f"{name} {value:.0f}" for name, value in machine.items()) + "\n")
    print(
        "| job | GFLOP a step | plain loop, ms a step | Regraft, ms a step | of the fp32 rate: plain loop | Regraft | products | optimiser | all else |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            job = opened(name, Path(folder), rows=ROWS.get(name, BATCH * (steps + WARM)))
            found = list(plain(job, steps))
            timed, profiled = Watch(), Watch(profiles=True)
            ours(job, steps, timed)
            ours(job, min(steps, 6), profiled)
        counted, seconds = map(np.array, zip(*found, strict=True))
        taken = (seconds, timed.steps[: len(seconds)])
        reached = [float(np.median(counted / one)) / 1e9 / machine["fp32 2048"] for one in taken]
        work, (theirs, own) = statistics.mean(counted.tolist()), (float(np.median(one)) for one in taken)
        shares = " | ".join(f"{share:.2f}" for share in split(profiled).values())
        print(
            f"| {name} | {work / 1e9:.1f} | {theirs * 1e3:.0f} | {own * 1e3:.0f} | {reached[0]:.2f} | {reached[1]:.2f} | {shares} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
