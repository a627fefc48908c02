"""Few texts: banking77 with the first 20 of each class, every contestant at what it would do by itself, on the given test split, as whole commands.

    python benchmarks/few_texts.py --autogluon /envs/autogluon/bin/python --setfit /envs/setfit/bin/python [--repeats 1] [--quick]

AutoGluon and SetFit need environments of their own (``pip install autogluon.multimodal``; ``pip install setfit``); without ``--autogluon`` and ``--setfit``
they are left out. All start from the same MiniLM in a local folder, and nothing is fetched. Hold the run to one core for one thread each:
``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/few_texts.py ...``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pandas
from harness import DATA, compare
from text_peers import HERE, minilm, regraft, trainer


def cut(folder: Path, *, classes: int, per_class: int) -> Path:
    """Train and test of the first ``classes`` classes (0: all), the first ``per_class`` training rows of each."""
    train, test = (pandas.read_csv(DATA / "banking77" / f"{split}.csv") for split in ("train", "test"))
    kept = sorted(train["label"].unique())[: classes or None]
    train[train["label"].isin(kept)].groupby("label", sort=False).head(per_class).to_csv(folder / "train.csv", index=False)
    test[test["label"].isin(kept)].to_csv(folder / "test.csv", index=False)
    return folder


def peer(python: str, script: str, data: Path, *options: str) -> list[str]:
    """A peer in its own environment."""
    return [python, str(HERE / "peers" / script), str(data / "train.csv"), str(data / "test.csv"), "--model", minilm(), *options]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--autogluon", default="", help="the interpreter of an environment with autogluon.multimodal")
    parser.add_argument("--setfit", default="", help="the interpreter of an environment with setfit")
    parser.add_argument("--setfit-steps", type=int, default=1000, help="of 16 pairs; its own default, every pair, has no end here")
    parser.add_argument("--epochs", type=int, default=10, help="of the Trainer")
    parser.add_argument("--lr", type=float, default=3e-4, help="of the Trainer")
    parser.add_argument("--autogluon-epochs", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="contestants whose names begin so")
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: four classes, five texts of each, once")
    args = parser.parse_args()
    if args.quick:
        args.repeats, args.setfit_steps, args.epochs, args.autogluon_epochs = 1, 3, 1, 1
    with tempfile.TemporaryDirectory() as folder:
        data = cut(Path(folder), classes=4 if args.quick else 0, per_class=5 if args.quick else 20)
        contestants = {
            "regraft, its default": regraft(data),
            "Trainer tuned": trainer(data, "--tuned", "--epochs", str(args.epochs), "--lr", str(args.lr), "--batch-size", "16"),
        }
        if args.autogluon:
            contestants["AutoGluon"] = peer(args.autogluon, "autogluon_text.py", data, "--epochs", str(args.autogluon_epochs))
            tuned = ["--lr", "4e-4", "--batch-size", "32"]
            contestants["AutoGluon, 4e-4 in batches of 32"] = [*contestants["AutoGluon"], *tuned]
        if args.setfit:
            contestants["SetFit"] = peer(args.setfit, "setfit_text.py", data, "--steps", str(args.setfit_steps))
        for name in ("autogluon", "setfit"):
            if not getattr(args, name):
                print(f"{name} is left out: --{name} names the interpreter of its environment", file=sys.stderr)
        if args.only:
            contestants = {name: command for name, command in contestants.items() if name.startswith(tuple(args.only))}
        note = (f"first 20 of each class; Trainer {args.epochs} epochs at {args.lr:g} in batches of 16 grouped by length; AutoGluon's defaults but for "
                f"{args.autogluon_epochs} epochs and the checkpoint; SetFit {args.setfit_steps} steps of 16 pairs")  # fmt: skip
        compare("few texts: banking77", contestants, repeats=args.repeats, reference="regraft, its default", note=note)


if __name__ == "__main__":
    main()
