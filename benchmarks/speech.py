"""Spoken digits written down as words (fsdd, its given test split, 600 training clips), with connectionist temporal classification: bundled:audio, which knows
spoken words by their sound; the same network from scratch; and a generation that learned to spell from espeak-ng (``pretraining/speech.py``), trunk and head.

    python pretraining/speech.py speak OUT --texts input.txt; python pretraining/speech.py tune OUT --store STORE
    python benchmarks/speech.py DATA --store STORE --epochs 10 --spoken spoken --out results/speech.json
    python benchmarks/speech.py DATA --plans default --seeds 0

Prints a row for each run as it is done: word and character errors with their intervals, seconds; and in the file the paired comparisons with scratch. With
``--held-back`` the test clips are 400 other training clips, for choices. Killed and started again with the same store, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import regraft as rg

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLANS: dict[str, dict[str, Any]] = {"default": {}, "scratch": {"strategy": "scratch"}, "spoken": {"strategy": "full"}}
HELD_BACK = 400
AUGMENTED = {"label_smoothing": 0.1, "augment": {"shift": 0.1, "noise": 0.1, "spec_augment": 1}}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path)
    asked.add_argument("--store", default=".regraft")
    asked.add_argument("--out", type=Path)
    asked.add_argument("--clips", type=int, default=600, help="to learn from")
    asked.add_argument("--epochs", type=float, help="of each run; without it the plan's own, twice as many from scratch")
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--plans", nargs="+", choices=tuple(PLANS), default=list(PLANS))
    asked.add_argument("--spoken", default="", help="the generation in the store that learned from espeak-ng")
    asked.add_argument("--augmented", action="store_true", help="with label smoothing, shifts, noise and SpecAugment, all of them")
    asked.add_argument("--held-back", action="store_true")
    given = asked.parse_args()
    given.plans = [plan for plan in given.plans if plan != "spoken" or given.spoken]
    torch.set_num_threads(1)
    rows = []
    folder = Path(given.store) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        rows += compared(given, written(given, folder / f"{clips(given)}-{seed}.csv", seed), seed)
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


def clips(given: argparse.Namespace) -> str:
    return f"{given.clips}" + "-held-back" * given.held_back


def compared(given: argparse.Namespace, table: Path, seed: int) -> list[dict[str, Any]]:
    recordings = str(given.data / "recordings")
    of = clips(given) + (f"-{given.epochs:g}" if given.epochs else "") + "-augmented" * given.augmented
    rows, made = [], {}
    for plan in given.plans:
        options = {"input": recordings, "seed": seed, "store": given.store, "epochs": given.epochs, "resume": True, **PLANS[plan]}
        options |= AUGMENTED if given.augmented else {}
        name = f"speech-{of}-{plan}-{seed}"
        if plan == "spoken":
            name = f"{name}-{given.spoken}"
            made[plan] = rg.grow(given.spoken, table, new_task=name, name=name, task="speech-recognition", control=False, **options)
        else:
            made[plan] = rg.tune(table, name=name, model="bundled:audio", **options)
        metrics, cost = made[plan].metrics["test"], made[plan].record.manifest["cost"]
        row = {"clips": given.clips, "seed": seed, "plan": plan, "wer": metrics["wer"], "cer": metrics["cer"], "time_s": cost["time_s"]}
        rows.append(row)
        print(json.dumps(row), flush=True)
    for plan, row in zip(given.plans, rows, strict=True):
        if plan != "scratch" and "scratch" in made:
            row["against_scratch"] = made[plan].evaluate(str(table), input=recordings, against=made["scratch"])["against"]
    return rows


def written(given: argparse.Namespace, table: Path, seed: int) -> Path:
    """Every test row and ``--clips`` training rows drawn by ``seed``, the digit as a word."""
    with (given.data / "labels.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    train = [one for one in found if one["split"] == "train"]
    order = [train[place] for place in np.random.default_rng(seed).permutation(len(train))]
    tested = order[-HELD_BACK:] if given.held_back else [one for one in found if one["split"] == "test"]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "transcript", "split"))
        for split, rows in (("train", order[: given.clips]), ("test", tested)):
            writer.writerows((one["file"], WORDS[int(one["label"])], split) for one in rows)
    return table


if __name__ == "__main__":
    main()
