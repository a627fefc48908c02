"""Regraft beside the transformers Trainer on other tasks than one label for a text, with the same MiniLM, rate, batches and rows.

    python benchmarks/task_peers.py wnut17|goemotions|rte|sick [--rows 2000] [--dev-rows 500] [--test-rows 0] [--epochs 3] [--regraft-epochs 2] [--lr 2e-4] --out OUT_FOLDER

Each is one whole process on one thread; what counts is the processor time of that process, as the machine may be shared. Regraft is given its
own default strategy and the mean of the tokens, the Trainer the auto classes (first token and pooler but for tags) and batches grouped by length. rte
has no test split: its dev split stands for it, and every tenth training row for dev.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas
from harness import DATA, HERE
from text_peers import minilm

KINDS = {"wnut17": "tags", "goemotions": "set", "rte": "pair", "sick": "pair"}
FIXED = ("refit=false", "label_smoothing=0", "wise_ft=1", "max_length=128")


def cut(job: str, most: dict[str, int], folder: Path) -> None:
    """The first rows of each split, all of them for 0."""
    if job == "wnut17":
        for name, count in most.items():
            blocks = (DATA / "ner_wnut17" / f"{name}.tsv").read_text(encoding="utf-8").strip("\n").split("\n\n")
            (folder / f"{name}.tsv").write_text("\n\n".join(blocks[: count or None]) + "\n", encoding="utf-8")
        return
    frames = {name: pandas.read_csv(path) for name in ("train", "dev", "test") if (path := DATA / job / f"{name}.csv").exists()}
    if "test" not in frames:
        frames["test"], frames["dev"] = frames["dev"], frames["train"].iloc[::10]
        frames["train"] = frames["train"].drop(frames["dev"].index)
    if job == "sick":
        frames = {
            name: frame.rename(columns={"entailment": "label"})[["sentence1", "sentence2", "label"]] for name, frame in frames.items()
        }
    for name, frame in frames.items():
        frame.head(most[name] or len(frame)).to_csv(folder / f"{name}.csv", index=False)


def timed(command: list[str]) -> tuple[str, float]:
    """Standard output, and the seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode:
        sys.exit(f"{' '.join(command)}\n{ran.stderr[-4000:]}")
    return ran.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def epochs_of(*, name: str, args: argparse.Namespace) -> float:
    return args.regraft_epochs or args.epochs if name == "regraft" else args.epochs


def regraft(job: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    shared = [
        "--epochs",
        str(epochs_of(name="regraft", args=args)),
        "--lr",
        str(args.lr),
        "--batch-size",
        "32",
        "--model",
        "bundled:minilm",
        "--seed",
        str(args.seed),
    ]
    fixed = [part for setting in FIXED for part in ("--set", setting)]
    task = {"tags": ["--task", "token-classification"], "set": ["--task", "text-multilabel"], "pair": []}[KINDS[job]]
    with tempfile.TemporaryDirectory() as store:
        out, seconds = timed([sys.executable, "-m", "regraft.cli", "tune", str(folder), *task, *shared, *fixed, "--store", store, "--json"])
    document = json.loads(out)
    return {
        "who": "regraft",
        "strategy": document["strategy"],
        "processor_s": seconds,
        "train_s": document["cost"]["train_s"],
        "test": document["metrics"]["test"],
    }


def trainer(job: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    command = [
        sys.executable,
        str(HERE / "peers" / "trainer_tasks.py"),
        KINDS[job],
        str(folder),
        "--model",
        minilm(),
        "--epochs",
        str(args.epochs),
        "--lr",
        str(args.lr),
    ]
    out, seconds = timed([*command, "--seed", str(args.seed)])
    return {"who": "Trainer tuned", **json.loads(out.strip().splitlines()[-1]), "processor_s": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=sorted(KINDS))
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--dev-rows", type=int, default=500)
    parser.add_argument("--test-rows", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument(
        "--regraft-epochs", type=float, help="of Regraft, where not as many as --epochs: its head is solved before the first of them"
    )
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["regraft", "trainer"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        cut(args.job, {"train": args.rows, "dev": args.dev_rows, "test": args.test_rows}, folder)
        for name, contestant in (("regraft", regraft), ("trainer", trainer)):
            if args.only in (None, name):
                row = {
                    "job": args.job,
                    "rows": args.rows,
                    "epochs": epochs_of(name=name, args=args),
                    "lr": args.lr,
                    "seed": args.seed,
                    **contestant(args.job, folder, args),
                }
                print(json.dumps(row), flush=True)
                with (args.out / "task_peers.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
