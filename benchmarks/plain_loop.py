"""Full fine-tuning beside the best plain loop that we can write: thirty lines of PyTorch on the same tensors, batches, optimiser and threads.

    python benchmarks/plain_loop.py minilm|vision|... [--quick]
    python benchmarks/plain_loop.py resnet50 --rows 192 --input-size 112

Both are timed in one process, in turn, from the first step to the last, without measuring on valid and without checkpoints that the plain loop has not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from harness import job_accuracy
from torch.nn import functional

from cache import MODELS, is_fresh, opened
from regraft.data.batching import training_batches
from regraft.data.encode import prepare
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.train.fit import fit
from regraft.train.schedules import factor
from regraft.tune.job import Job

LR, BATCH, DECAY = 1e-4, 32, 0.01


def ours(job: Job, epochs: int) -> tuple[float, float]:
    settings = Settings(epochs=epochs, lr=LR, batch_size=BATCH, cache=False, precision="fp32", weight_decay=DECAY)
    plan = Plan(task=job.dataset.task, model=job.reference, strategy="full", stages=(*job.outline.stage_names, "head"),
                phases=parse("full")(job.outline), settings=settings)  # fmt: skip
    network = job.network(dropout=0.1, seed=0, fresh=is_fresh(job))
    with tempfile.TemporaryDirectory() as folder:
        history = fit(network, plan, task=job.task, data={"train": job.encoded("train"), "valid": None}, folder=Path(folder))
    return history.train_s, job_accuracy(job, network)


def plain(job: Job, epochs: int) -> tuple[float, float]:
    network, train = job.network(dropout=0.1, seed=0, fresh=is_fresh(job)), job.encoded("train")
    spec = network.trunk.input
    if spec.kind == "image":
        network.to(memory_format=torch.channels_last)
    network.train()
    flat = [p for p in network.parameters() if p.dim() < 2]
    groups = [{"params": [p for p in network.parameters() if p.dim() >= 2], "weight_decay": DECAY}, {"params": flat, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, fused=True)
    batches = [rows for epoch in range(epochs) for rows in training_batches(len(train), BATCH, seed=0, epoch=epoch, lengths=train.lengths)]
    began = time.perf_counter()
    for step, rows in enumerate(batches):
        logits = network(prepare(train.batch(rows), spec))
        functional.cross_entropy(logits, train.target_batch(rows)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = LR * factor(step, len(batches), schedule="linear", warmup_fraction=0.1)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - began, job_accuracy(job, network)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--input-size", type=int, default=0, help="pixels to a side of images, instead of the model's own")
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: 64 rows, one epoch, once")
    args = parser.parse_args()
    rows, epochs, repeats = (64, 1, 1) if args.quick else (args.rows, args.epochs, args.repeats)
    with tempfile.TemporaryDirectory() as folder:
        job = opened(args.model, Path(folder), rows=rows, input_size=args.input_size)
        taken: dict[str, list[float]] = {"regraft": [], "plain loop": []}
        scores: dict[str, float] = {}
        for turn in range(repeats):
            for name in taken if turn % 2 == 0 else list(taken)[::-1]:
                seconds, scores[name] = (ours if name == "regraft" else plain)(job, epochs)
                taken[name].append(seconds)
    print(f"### plain loop: full fine-tuning of {args.model}, {len(job.encoded('train')):,} examples, {epochs} epochs"
          f"{f', {args.input_size} px' * bool(args.input_size)}\n")  # fmt: skip
    print("| who | s, median (range) | ÷ plain loop | accuracy on test |\n|---|---|---|---|")
    for name, own in taken.items():
        ratio = statistics.median(a / b for a, b in zip(own, taken["plain loop"], strict=True))
        print(f"| {name} | {statistics.median(own):.1f} ({min(own):.1f}-{max(own):.1f}) | {ratio:.3f} | {scores[name]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
