"""Surgery and distillation on banking77 with MiniLM, small budgets, one thread: what an edit costs, and what healing and teachers give back.

    python benchmarks/surgery.py --per-class 20 --epochs 4

teacher        bundled:minilm, six layers, fully tuned
dropped        the teacher without blocks.2 and blocks.3, as it is
healed         the same, after learning from the teacher on the same data
direct         bundled:minilm without blocks 1, 3 and 5, tuned on the data alone
direct, twice  the same for twice the epochs: as many as teacher and student have had together
distilled      the same model, tuned with the teacher's answers
from teacher   the teacher without blocks 1, 3 and 5, tuned with its own answers

All runs see the same training examples, for the same number of epochs where nothing else is said, and are measured on the whole test split.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from harness import DATA, machine

import regraft as rg
from regraft.grow.distill import distill
from regraft.grow.edit import edit

MIDDLE, HALF = "drop(blocks.2, blocks.3)", "drop(blocks.1, blocks.3, blocks.5)"
MODEL = "bundled:minilm"


def few(folder: Path, per_class: int) -> Path:
    """banking77 with so many training texts a class, and its own test split."""
    source, made = DATA / "banking77", folder / "banking77"
    made.mkdir(parents=True, exist_ok=True)
    taken: Counter[str] = Counter()
    with (source / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    kept = [rows[0]]
    for row in rows[1:]:
        if taken[row[-1]] < per_class:
            taken[row[-1]] += 1
            kept.append(row)
    with (made / "train.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(kept)
    (made / "test.csv").write_bytes((source / "test.csv").read_bytes())
    return made


def told(name: str, generation: rg.Generation) -> dict[str, Any]:
    metric, cost = generation.metrics["test"]["accuracy"], generation.record.manifest["cost"]
    row = {"who": name, **{key: round(metric[key], 4) for key in ("value", "low", "high")}, "parameters": cost["parameters"],
           "train_s": round(cost["train_s"], 1)}  # fmt: skip
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--store", default=None, help="a folder to go on in")
    asked = parser.parse_args()
    place = Path(asked.store or tempfile.mkdtemp())
    data, store = few(place, asked.per_class), place / "store"
    common = {"store": store, "epochs": asked.epochs, "lr": asked.lr, "valid_fraction": 0.0, "refit": False, "patience": 0, "resume": True}
    teacher = rg.tune(data, model=MODEL, strategy="full", name="teacher", **common)
    rows = [told("teacher", teacher)]
    dropped = edit("teacher", MIDDLE, data=str(data), name_as="dropped", store=store)
    rows.append(told("dropped", dropped))
    rows.append(told("healed", distill("teacher", data, model="dropped", name="healed", **common)))
    rows.append(told("direct", rg.tune(data, model=f"{MODEL}+{HALF}", strategy="full", name="direct", **common)))
    twice = {**common, "epochs": 2 * asked.epochs}
    rows.append(told("direct, twice", rg.tune(data, model=f"{MODEL}+{HALF}", strategy="full", name="direct-twice", **twice)))
    distilled = distill("teacher", data, model=f"{MODEL}+{HALF}", name="distilled", **common)
    rows.append(told("distilled", distilled))
    started = distill("teacher", data, model=f"teacher+{HALF}", name="from-teacher", **common)
    rows.append(told("from teacher", started))
    verdicts = {f"{name} against {other}": one.evaluate(str(data), split="test", against=rg.open(other, store=store))["against"]
                for name, one in (("distilled", distilled), ("from teacher", started)) for other in ("direct", "direct-twice")}  # fmt: skip
    best = rows[0]["value"]
    for row in rows[1:]:
        print(f"{row['who']}: {row['value'] / best:.1%} of the teacher")
    print(
        json.dumps(
            {"per_class": asked.per_class, "epochs": asked.epochs, "machine": machine(), "rows": rows, "verdicts": verdicts}, default=str
        )
    )


if __name__ == "__main__":
    main()
