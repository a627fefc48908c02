"""Soups of runs that differ in rate and seed, against the best single run (chosen on valid): win, tie or loss on the test examples.

    python benchmarks/soup.py --per-class 10 --epochs 2

Four runs of one strategy on a cut of banking77, then every way to merge them; test is touched by a merge once, at its end. Prints one row for each
model and merge, with the paired verdict against the best single run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas
from harness import DATA

from regraft.grow.merge import merge
from regraft.tune.conduct import tune

RUNS = ((3e-4, 0), (3e-4, 1), (6e-4, 2), (1e-3, 3))
"""(rate, seed) of each run."""
METHODS = ("greedy", "uniform", "ties(density=0.2)", "dare(drop=0.5)", "task_arithmetic")


def cut(folder: Path, per_class: int, valid: int, test: int) -> str:
    """So many training and valid examples of each class, and so many test examples in all."""
    train = pandas.read_csv(DATA / "banking77" / "train.csv").sample(frac=1, random_state=0)
    train["place"] = train.groupby("label").cumcount()
    folder.mkdir()
    train[train.place < per_class].drop(columns="place").to_csv(folder / "train.csv", index=False)
    train[(train.place >= per_class) & (train.place < per_class + valid)].drop(columns="place").to_csv(folder / "valid.csv", index=False)
    pandas.read_csv(DATA / "banking77" / "test.csv").sample(test, random_state=0).to_csv(folder / "test.csv", index=False)
    return str(folder)


def said(metric: dict[str, float]) -> str:
    return f"{metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--valid", type=int, default=4)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--strategy", default="top(n=2)")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, store = cut(Path(folder) / "data", args.per_class, args.valid, args.test), Path(folder) / "store"
        print(f"### soup: {args.strategy}, {args.per_class} a class, {args.epochs:g} epochs\n\n| model | valid | test | against the best single, on test | in it | s |\n"
              "|---|---|---|---|---|---|", flush=True)  # fmt: skip
        names = []
        for rate, seed in RUNS:
            began = time.perf_counter()
            made = tune(data, model="bundled:minilm", strategy=args.strategy, epochs=args.epochs, lr=rate, seed=seed, batch_size=32, refit=False,
                        name=f"lr{rate:g}-seed{seed}", store=store)  # fmt: skip
            names.append(made.name)
            accuracy = {split: said(made.metrics[split]["accuracy"]) for split in ("valid", "test")}
            print(f"| {made.name} | {accuracy['valid']} | {accuracy['test']} | | | {time.perf_counter() - began:.0f} |", flush=True)
        for method in args.methods:
            began = time.perf_counter()
            made = merge(names, method=method, name="merge", store=store, accept_forgetting="to measure it")
            told, verdict = made.document["merge"], made.document["merge"]["against_best"]["test"]
            d = verdict["difference"]
            options = ", ".join(f"{key} {value:g}" for key, value in told["options"].items())
            accuracy = {split: said(made.metrics[split]["accuracy"]) for split in ("valid", "test")}
            against = f"{told['outcome']} {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}], p = {verdict['p_value']:.2g}, best: {told['best_parent']['name']}"
            members = sum(parent["included"] for parent in told["parents"])
            print(f"| {told['method']} {options} | {accuracy['valid']} | {accuracy['test']} | {against} | {members} of {len(names)} | "
                  f"{time.perf_counter() - began:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
