"""Language models: instructions and preferences on the bundled decoder (issue 5).

    python benchmarks/language.py DATA OUT [--seeds 0,1,2] [--only instructions,packing,preferences]

``instructions``: alpaca_en, held-out perplexity of answers before any tuning, after full tuning and after LoRA, rates chosen on valid. ``packing``: seconds of training for the
same epochs, padded in random batches, padded in batches by length (what Regraft does), packed. ``preferences``: dpo_en, accuracy and perplexity on held-out pairs.
Prints one JSON line for each figure.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import regraft as rg
from regraft import lineage
from regraft.serve import rebuild
from regraft.train.fit import fit
from regraft.tune import evidence
from regraft.tune.conduct import requested
from regraft.tune.job import Job, open_data, open_job

MODEL = "bundled:decoder"
FULL = {"strategy": "full", "epochs": 4.0, "batch_size": 8, "packing": True, "refit": False}
LORA = {**FULL, "strategy": "lora(rank=16, alpha=32)"}
RATES = {"full": (3e-4, 1e-3, 3e-3), "lora": (1e-3, 3e-3, 1e-2)}
PAIRS = {"strategy": "lora(rank=16, alpha=32)", "epochs": 3.0, "batch_size": 8, "refit": False}
PAIR_RATES = (3e-4, 1e-3)


def said(**row: Any) -> None:
    print(json.dumps(row), flush=True)


def job_of(data: Path) -> Job:
    request = requested(data, None, {"model": MODEL})
    return open_job(request, open_data(request), MODEL)


def at_start(data: Path, split: str) -> dict[str, Any]:
    """Metrics of the pretrained decoder, untuned."""
    job = job_of(data)
    encoded = job.encoded(split)
    scores = evidence.logits(job.network(dropout=0.0, seed=0), encoded, task=job.task)
    return job.task.document(job.task.answers(scores), encoded.targets, ())["metrics"]


def tuned(data: Path, store: Path, name: str, **options: Any) -> Any:
    began = time.process_time()
    made = rg.tune(data, store=store, name=name, model=MODEL, **options)
    said(
        run=name,
        processor_s=round(time.process_time() - began, 1),
        metrics=made.metrics,
        trained=made.document["cost"]["trainable_parameters"],
    )
    return made


def instructions(data: Path, store: Path, seeds: list[int]) -> None:
    file = data / "llm" / "alpaca_en_demo.json"
    before = at_start(file, "test")["perplexity"]["value"]
    said(what="perplexity before", value=before)
    for name, options in (("full", FULL), ("lora", LORA)):
        tried = {lr: tuned(file, store, f"{name}-{lr:g}", lr=lr, seed=0, **options) for lr in RATES[name]}
        best = min(tried, key=lambda lr: tried[lr].metrics["valid"]["perplexity"]["value"])
        made = [tried[best], *(tuned(file, store, f"{name}-{best:g}-{seed}", lr=best, seed=seed, **options) for seed in seeds if seed)]
        values = [one.metrics["test"]["perplexity"]["value"] for one in made]
        said(
            what=f"perplexity after {name}", lr=best, values=values, mean=float(np.mean(values)), falls=1 - float(np.mean(values)) / before
        )
        said(what="an answer", text=made[0].predict(["Give three tips for staying healthy."])[0]["answer"])


def packing(data: Path, repeats: int = 3) -> None:
    """Two epochs of full training at equal tokens a step, without preflight and evaluation: the loop alone."""
    job = job_of(data / "llm" / "alpaca_en_demo.json")
    mean = {}
    for _ in range(repeats):
        for name in ("padded, random batches", "padded, batches by length", "packed"):
            plan = rg.plan(requested(job.request.data, "full", {"model": MODEL, "epochs": 2.0, "lr": 1e-3, "precision": "fp32", "cache": False,
                                                                "batch_size": 8 if name == "packed" else 16, "packing": name == "packed"}))  # fmt: skip
            train = job.learned("train", plan.settings)
            if name == "padded, random batches":
                train = train.subset(np.arange(len(train)))
                train.lengths = None  # type: ignore[assignment]  # nobody knows which rows are of one length
            network = job.network(dropout=0.0, seed=0)
            with tempfile.TemporaryDirectory() as folder:
                history = fit(network, plan, job.fitting(train), {"train": train, "valid": None}, folder=Path(folder))
            mean.setdefault(name, []).append(history.train_s)
    for name, seconds in mean.items():
        said(
            what="packing",
            how=name,
            seconds=[round(value, 1) for value in seconds],
            times_packed=float(np.median(seconds) / np.median(mean["packed"])),
        )


def preferences(data: Path, store: Path, seeds: list[int]) -> None:
    file = data / "llm" / "dpo_en_demo.json"
    made = []
    for sft in (0.0, 0.1):
        for lr in PAIR_RATES:
            made.append(
                (tuned(file, store, f"dpo-{sft:g}-{lr:g}", lr=lr, seed=0, objective=f"dpo(beta=0.1, sft={sft:g})", **PAIRS), sft, lr)
            )
    start = rebuild.start(lineage.Store.locate(store), made[0][0].record)
    job = job_of(file)
    found = {split: job.task.answers(evidence.logits(start, job.encoded(split), task=job.task)) for split in ("valid", "test")}
    before = {split: float(np.exp(-rows[:, 0].sum() / rows[:, 2].sum())) for split, rows in found.items()}
    said(what="perplexity of chosen answers before", **before)
    fitting = [one for one in made if one[0].metrics["valid"]["perplexity"]["value"] <= 1.1 * before["valid"]] or made
    best = max(fitting, key=lambda one: one[0].metrics["valid"]["preference_accuracy"]["value"])
    runs = [
        best[0],
        *(
            tuned(file, store, f"dpo-best-{seed}", lr=best[2], seed=seed, objective=f"dpo(beta=0.1, sft={best[1]:g})", **PAIRS)
            for seed in seeds
            if seed
        ),
    ]
    accuracies, costs = ([run.metrics["test"][name]["value"] for run in runs] for name in ("preference_accuracy", "perplexity"))
    said(what="preferences", sft=best[1], lr=best[2], accuracies=accuracies, mean=float(np.mean(accuracies)), perplexities=costs,
         rises=float(np.mean(costs)) / before["test"] - 1)  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="instructions,packing,preferences")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    numbers, parts = [int(seed) for seed in asked.seeds.split(",")], asked.only.split(",")
    if "instructions" in parts:
        instructions(asked.data, asked.out, numbers)
    if "packing" in parts:
        packing(asked.data)
    if "preferences" in parts:
        preferences(asked.data, asked.out, numbers)
