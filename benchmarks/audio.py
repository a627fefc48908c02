"""Spoken digits (fsdd, its given test split): bundled:audio against the same network from scratch, with every example and with 20 of each class.

    python benchmarks/audio.py DATA --store STORE --out results/audio.json
    python benchmarks/audio.py DATA --only few --seeds 0
    python benchmarks/audio.py DATA --only few --epochs 10       both for so many epochs, where each takes what Regraft advises for it otherwise

Prints a row for each run as it is done: accuracy with its interval, seconds; and in the file the paired comparison with scratch.
Killed and started again with the same store, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regraft.tune.conduct import tune
from regraft.tune.generation import Generation

FEW = 20
PLANS: dict[str, dict[str, Any]] = {"default": {}, "scratch": {"strategy": "scratch"}}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path)
    asked.add_argument("--store", default=".regraft")
    asked.add_argument("--out", type=Path)
    asked.add_argument("--only", choices=("all", "few"))
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--epochs", type=float)
    asked.add_argument("--plans", nargs="+", choices=tuple(PLANS), default=list(PLANS))
    given = asked.parse_args()
    torch.set_num_threads(1)
    rows = []
    folder = Path(given.store) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for size in ("few", "all") if given.only is None else (given.only,):
        for seed in given.seeds:
            table = written(given.data, folder / f"fsdd-{size}-{seed}.csv", FEW if size == "few" else None, seed)
            rows += compared(given, table, size, seed)
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


def compared(given: argparse.Namespace, table: Path, size: str, seed: int) -> list[dict[str, Any]]:
    options = {
        "input": str(given.data / "recordings"),
        "target": "label",
        "model": "bundled:audio",
        "seed": seed,
        "store": given.store,
        "resume": True,
        **({"epochs": given.epochs} if given.epochs else {}),
    }
    rows, made = [], {}
    for plan in given.plans:
        generation = made[plan] = tune(str(table), name=f"fsdd-{size}-{plan}-{seed}-{given.epochs or 'default'}", **options, **PLANS[plan])
        rows.append(
            {"examples": size, "seed": seed, "plan": plan, "epochs": generation.document["plan"]["settings"]["epochs"], **row(generation)}
        )
        print(json.dumps(rows[-1]), flush=True)
    if len(made) == len(PLANS):
        rows[0]["against_scratch"] = made["default"].evaluate(str(table), input=options["input"], target="label", against=made["scratch"])[
            "against"
        ]
    return rows


def written(data: Path, table: Path, per_class: int | None, seed: int) -> Path:
    """``labels.csv`` with every test row and, of each digit, ``per_class`` training rows drawn by ``seed``."""
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    by_label = defaultdict(list)
    for one in found:
        if one["split"] == "train":
            by_label[one["label"]].append(one)
    chance = np.random.default_rng(seed)
    kept = [one for one in found if one["split"] == "test"]
    for rows in by_label.values():
        kept += [rows[place] for place in chance.permutation(len(rows))[:per_class]]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("file", "label", "split"), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    return table


def row(generation: Generation) -> dict[str, Any]:
    document = generation.document
    return {"strategy": document["strategy"], "accuracy": generation.metrics["test"]["accuracy"], "time_s": document["cost"]["time_s"]}


if __name__ == "__main__":
    main()
