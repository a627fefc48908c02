"""Objectives beside plain training at an equal budget of epochs: a three-value grid of l2_sp, the strength led by drift or gap, and others.

    python benchmarks/objectives.py --per-class 20 --epochs 5 --seeds 0 1 2

A cut of trec with so many training examples of each class, bundled:minilm; one row for each objective: accuracy on test for each seed, the paired verdict of
the last seed against plain training, seconds of training. Test is read once by each run, and nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas
from harness import DATA

from regraft.tune.conduct import tune

CONTESTANTS = (
    "",
    "l2_sp(strength=0.01)",
    "l2_sp(strength=0.1)",
    "l2_sp(strength=1)",
    "l2_sp(strength=0.1, adapt=drift, target=0.02)",
    "l2_sp(strength=0.1, adapt=gap, target=0.2)",
    "r_drop",
    "sam",
)


def cut(folder: Path, per_class: int, test: int) -> str:
    """So many training examples of each class, as many again for valid, and so many test examples in all."""
    train = pandas.read_csv(DATA / "trec" / "train.csv").sample(frac=1, random_state=0)
    label = next(name for name in ("label", "coarse_label", train.columns[-1]) if name in train.columns)
    train["place"] = train.groupby(label).cumcount()
    folder.mkdir()
    train[train.place < per_class].drop(columns="place").to_csv(folder / "train.csv", index=False)
    train[(train.place >= per_class) & (train.place < 2 * per_class)].drop(columns="place").to_csv(folder / "valid.csv", index=False)
    pandas.read_csv(DATA / "trec" / "test.csv").head(test).to_csv(folder / "test.csv", index=False)
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--strategy", default="full")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--objectives", nargs="*", default=list(CONTESTANTS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        data, store = cut(Path(root, "data"), args.per_class, args.test), Path(root, "store")
        print("| objective | test accuracy, a value for each seed | against plain | train s |\n|---|---|---|---|")
        plain = {}
        for objective in args.objectives:
            made = {seed: tune(data, model="bundled:minilm", strategy=args.strategy, objective=objective, epochs=args.epochs, seed=seed, refit=False,
                               store=store, name=f"run-{args.objectives.index(objective)}-{seed}") for seed in args.seeds}  # fmt: skip
            plain = plain or made
            last = args.seeds[-1]
            verdict = made[last].evaluate(data, split="test", against=plain[last])["against"]["verdict"]
            found = ", ".join(f"{one.metrics['test']['accuracy']['value']:.3f}" for one in made.values())
            seconds = sum(one.document["cost"]["train_s"] for one in made.values())
            print(f"| {objective or 'none'} | {found} | {verdict} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
