"""Masks: a pretrained trunk against the same network from scratch, at the same settings, and the top layers alone.

    python benchmarks/segmentation.py camvid DATA --store STORE --out results/segmentation_camvid.json
    python benchmarks/segmentation.py camvid DATA --model file:mobilenet_v2_0.35_224_imagenet_notop.safetensors --input-size 160 --epochs 30
    python benchmarks/segmentation.py magnetic_tile DATA ...

Prints a row for each plan as it is done: mean IoU, pixel accuracy, seconds; and the paired comparison with scratch on the test images.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from regraft.lineage import Store
from regraft.tune.conduct import tune
from regraft.tune.generation import Generation, open

COMMON = {"model": "bundled:vision", "batch_size": 8, "lr": 1e-3, "precision": "fp32", "refit": False, "seed": 0}
JOBS: dict[str, dict[str, Any]] = {
    "camvid": {"target": "ignore=11", "epochs": 40, "input_size": 128, "augment": {"crop": 8, "flip": 0.5}},
    "magnetic_tile": {"task": "semantic-segmentation", "epochs": 15, "input_size": 128, "augment": {}},
}
CHANGED: dict[str, type] = {"model": str, "input_size": int, "epochs": float, "lr": float, "objective": str}
"""What of the settings may be asked for otherwise."""
PLANS = {
    "camvid": {"full": "full", "scratch": "scratch"},
    "magnetic_tile": {"top": "top(n=2)", "scratch": "scratch"},
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("job", choices=sorted(JOBS))
    asked.add_argument("data")
    asked.add_argument("--store", default=".regraft")
    asked.add_argument("--out", type=Path)
    asked.add_argument("--seed", type=int, default=0)
    for name, kind in CHANGED.items():
        asked.add_argument(f"--{name.replace('_', '-')}", type=kind)
    given = asked.parse_args()
    torch.set_num_threads(1)
    settings = {**COMMON, **JOBS[given.job], "seed": given.seed}
    settings |= {name: getattr(given, name) for name in CHANGED if getattr(given, name) is not None}
    made = {plan: fitted(given, plan, strategy, settings) for plan, strategy in PLANS[given.job].items()}
    first, scratch = (made[plan] for plan in (next(iter(PLANS[given.job])), "scratch"))
    against = first.evaluate(given.data, against=scratch)
    rows = {plan: row(generation) for plan, generation in made.items()}
    document = {"job": given.job, "settings": settings, "plans": rows, "against_scratch": against["against"]}
    print(json.dumps(document["against_scratch"]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(document, indent=1) + "\n")


def fitted(given: argparse.Namespace, plan: str, strategy: str, settings: dict[str, Any]) -> Generation:
    """What a store holds already is not trained again; where a run was cut short, it goes on."""
    name, made = f"{given.job}-{plan}-{given.seed}", Store.locate(given.store)
    if name in made.names():
        generation = open(name, store=given.store)
    else:
        generation = tune(given.data, store=given.store, name=name, strategy=strategy, resume=True, **settings)
    print(plan, json.dumps(row(generation)), flush=True)
    return generation


def row(generation: Generation) -> dict[str, Any]:
    cost = generation.record.manifest["cost"]
    return {**generation.metrics["test"], **{key: cost[key] for key in ("time_s", "train_s", "peak_memory_bytes", "trainable_parameters")}}


if __name__ == "__main__":
    main()
