"""Word vectors under recurrent layers with attention: frozen vectors, vectors thawed later, all learning from the start.

    python benchmarks/vectors.py sst2 DATA VECTORS [--store STORE] [--seeds 3] [--out results/vectors_sst2.json]
    python benchmarks/vectors.py chnsenticorp DATA VECTORS ...

Prints a row for each plan and seed as it is done: accuracy on test with its interval, on valid where that was measured, seconds; and the
paired comparison of thawed with frozen vectors, seed by seed. Rate, width and the spread of random rows were chosen on sst2's dev
split and held-back training sentences. A store goes on with a run that was cut short.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from regraft.tune.conduct import tune
from regraft.tune.generation import Generation

COMMON = {"lr": 3e-3, "batch_size": 32, "refit": False, "precision": "fp32"}
JOBS: dict[str, dict[str, Any]] = {
    "sst2": {"shape": "cell=gru", "thawed": "full", "epochs": 5.0},
    "chnsenticorp": {"shape": "cell=gru", "thawed": "full", "epochs": 5.0, "max_length": 256},
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("job", choices=sorted(JOBS))
    asked.add_argument("data")
    asked.add_argument("vectors")
    asked.add_argument("--store", default=".regraft")
    asked.add_argument("--seeds", type=int, default=1)
    asked.add_argument("--out", type=Path)
    given = asked.parse_args()
    torch.set_num_threads(1)
    settings = {**COMMON, **JOBS[given.job]}
    model, plans = (
        f"vectors:{given.vectors}?{settings.pop('shape')}",
        {"thawed": settings.pop("thawed"), "frozen": "freeze(below=recurrent)"},
    )
    rows, against = [], []
    for seed in range(given.seeds):
        made = {}
        for plan, strategy in plans.items():
            name = f"{given.job}-{plan}-{seed}"
            made[plan] = tune(given.data, model=model, strategy=strategy, store=given.store, name=name, seed=seed, resume=True, **settings)
            rows.append(row(made[plan], plan, seed))
            print(json.dumps(rows[-1]), flush=True)
        against.append(made["thawed"].evaluate(given.data, against=made["frozen"])["against"])
        print("thawed against frozen:", json.dumps(against[-1]), flush=True)
    if given.out:
        document = {
            "job": given.job,
            "settings": settings,
            "model": Path(given.vectors).name,
            "rows": rows,
            "thawed_against_frozen": against,
        }
        given.out.write_text(json.dumps(document, indent=1) + "\n")


def row(made: Generation, plan: str, seed: int) -> dict[str, Any]:
    found = {split: values["accuracy"] for split, values in made.metrics.items()}
    return {"plan": plan, "seed": seed, **found, "train_s": made.document["cost"]["train_s"], "strategy": made.document["strategy"]}


if __name__ == "__main__":
    main()
