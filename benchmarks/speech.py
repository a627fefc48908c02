"""Spoken digits written down as words (fsdd, its given test split, 600 training clips): bundled:audio, which espeak-ng taught, against the same network from
scratch, both with connectionist temporal classification.

    python benchmarks/speech.py DATA --store STORE --out results/speech.json
    python benchmarks/speech.py DATA --plans default --seeds 0

Prints a row for each run as it is done: word and character errors with their intervals, seconds; and in the file the paired comparison with scratch.
Killed and started again with the same store, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regraft.tune.conduct import tune

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLANS: dict[str, dict[str, Any]] = {"default": {}, "scratch": {"strategy": "scratch"}}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path)
    asked.add_argument("--store", default=".regraft")
    asked.add_argument("--out", type=Path)
    asked.add_argument("--clips", type=int, default=600, help="to learn from")
    asked.add_argument("--epochs", type=float, help="of each run; without it the plan's own, twice as many from scratch")
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--plans", nargs="+", choices=tuple(PLANS), default=list(PLANS))
    given = asked.parse_args()
    torch.set_num_threads(1)
    rows = []
    folder = Path(given.store) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        rows += compared(given, written(given.data, folder / f"{given.clips}-{seed}.csv", given.clips, seed), seed)
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


def compared(given: argparse.Namespace, table: Path, seed: int) -> list[dict[str, Any]]:
    recordings = str(given.data / "recordings")
    options = {"input": recordings, "model": "bundled:audio", "seed": seed, "store": given.store, "epochs": given.epochs, "resume": True}
    of = f"{given.clips}-{given.epochs:g}" if given.epochs else str(given.clips)
    rows, made = [], {}
    for plan in given.plans:
        generation = made[plan] = tune(str(table), name=f"speech-{of}-{plan}-{seed}", **options, **PLANS[plan])
        metrics, cost = generation.metrics["test"], generation.document["cost"]
        rows.append(
            {"clips": given.clips, "seed": seed, "plan": plan, "wer": metrics["wer"], "cer": metrics["cer"], "time_s": cost["time_s"]}
        )
        print(json.dumps(rows[-1]), flush=True)
    if len(made) == len(PLANS):
        rows[0]["against_scratch"] = made["default"].evaluate(str(table), input=recordings, against=made["scratch"])["against"]
    return rows


def written(data: Path, table: Path, clips: int, seed: int) -> Path:
    """Every test row and ``clips`` training rows drawn by ``seed``, the digit as a word."""
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    train = [one for one in found if one["split"] == "train"]
    chosen = [train[place] for place in np.random.default_rng(seed).permutation(len(train))[:clips]]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "transcript", "split"))
        writer.writerows(
            (one["file"], WORDS[int(one["label"])], one["split"]) for one in (*chosen, *[o for o in found if o["split"] == "test"])
        )
    return table


if __name__ == "__main__":
    main()
