"""Growth by gradient against joint training and against training on without protection.

    python benchmarks/growth_deep.py steps DATA                    clinc150 in five steps of 30 classes: way deep, joint, naive
    python benchmarks/growth_deep.py halves DATA --model MODEL     class folders (cifar10, flowers12): half of the classes, then the other half
    python benchmarks/growth_deep.py shift DATA                    banking77: tuned on questions that end in "?", grown on the other ones; WiSE-FT sweep

DATA: the folder of the data set. Prints one JSON row for each fact; processor times are within one call. ``--per-class N`` takes the first N training
examples of each class only. "joint" sees everything at once; "naive" goes on from the parent by the strategy of the deep way, without replay, distillation
or interpolation, its gate overruled. The first step and joint are tuned by ``--strategy`` (by what Regraft chooses, where none is given), deep and naive by
``--grow``. ``accuracy`` is the child's on the test examples of everything, and on those that came with each step, "1", "2", ...; ``forgetting`` the mean over the earlier
steps of how far these have fallen from their best (Chaudhry et al. 2018, 1801.10112).

``--work FOLDER`` keeps the store: what is in there is not made again (and has ``null`` for seconds), and a run that was killed goes on. ``--minutes M`` begins nothing new after so many.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from growth import SPLITS, read, say, timed, write

Rows = dict[str, list[tuple[str, str]]]
"""Split -> (text or path of a picture, label)."""
UNPROTECTED = {"replay": 0, "objective": "", "wise_ft": 1.0}
STEPS = 5
UNFINISHED = 75
"""Exit status where ``--minutes`` ran out (that of a passing failure in sysexits.h)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "halves", "shift"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="bundled:minilm")
    parser.add_argument("--strategy", help="of the first step and of joint")
    parser.add_argument("--grow", help="strategy of the later steps; by default that of the deep way")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--grow-epochs", type=float, help="of the later steps, where not as many as --epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-class", type=int, default=0)
    parser.add_argument("--only", choices=("deep", "naive", "joint"), action="append")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=1e9)
    asked = parser.parse_args()
    settings = {"seed": asked.seed, **({"epochs": asked.epochs} if asked.epochs else {})}
    with tempfile.TemporaryDirectory() as scratch:
        run = Comparison(asked.work or Path(scratch), settings, asked)
        {"steps": steps, "halves": halves, "shift": shift}[asked.what](asked.data, run, asked.per_class)


class Comparison:
    """``settings``: of every run alike."""

    def __init__(self, work: Path, settings: dict[str, Any], asked: argparse.Namespace) -> None:
        self.scratch, self.settings, self.asked, self.store = work, settings, asked, work / "store"
        self.best: dict[str, float] = {}
        """Of each step's test examples the best accuracy so far."""
        self.only, self.until = asked.only or ("deep", "naive", "joint"), time.perf_counter() + 60 * asked.minutes

    def made(self, name: str, work: Any) -> tuple[Any, dict[str, float] | None]:
        """The generation ``name`` and the time of making it; ``None`` where it was there."""
        import regraft as rg

        if name in rg.Store(self.store).names():
            return rg.open(name, store=self.store), None
        if time.perf_counter() > self.until:
            sys.exit(UNFINISHED)
        return timed(work)

    def tuned(self, folder: Path, name: str) -> tuple[Any, dict[str, float] | None]:
        import regraft as rg

        options = {"model": self.asked.model, "strategy": self.asked.strategy, "store": self.store, "name": name, "resume": True}
        return self.made(name, lambda: rg.tune(folder, **options, **self.settings))

    def grown(self, parent: str, folder: Path, name: str, **more: Any) -> tuple[Any, dict[str, float] | None]:
        """A refused step is taken all the same, and said: only then can its losses be shown."""
        import regraft as rg

        fewer = {"epochs": self.asked.grow_epochs} if self.asked.grow_epochs else {}
        options = {"accept_forgetting": "measured by a benchmark", "strategy": self.asked.grow, **self.settings, **fewer, **more}
        return self.made(name, lambda: rg.grow(parent, folder, way="deep", store=self.store, name=name, resume=True, **options))

    def sequence(self, folders: list[Path], everything: Path) -> None:
        """All three on the same steps."""
        measured = {**{str(number): folder for number, folder in enumerate(folders, 1)}, "all": everything}
        begun = self.told("first", 1, *self.tuned(folders[0], "first"), measured)
        for kind, more in (("deep", {}), ("naive", UNPROTECTED)):
            name, self.best = "first", begun
            for number, folder in enumerate(folders[1:], 2):
                if kind in self.only:
                    child = self.grown(name, folder, f"{kind}-{number}", **more)
                    name = f"{kind}-{number}"
                    self.told(kind, number, *child, measured)
        if "joint" in self.only:
            self.told("joint", len(folders), *self.tuned(everything, "joint"), measured)

    def told(self, kind: str, step: int, generation: Any, seconds: dict[str, float] | None, measured: dict[str, Path]) -> dict[str, float]:
        """Its accuracies on what came with each step so far."""
        manifest = generation.record.manifest
        known = set(generation.classes)
        found = {what: generation.evaluate(str(folder), split="test")["metrics"]["accuracy"] for what, folder in measured.items()
                 if {label for _, label in read(folder / "test.csv")} <= known}  # fmt: skip
        met = {what: one["value"] for what, one in found.items() if what != "all" and int(what) <= step}
        forgetting = self.forgotten(met) if kind in ("deep", "naive") else None
        sweep = next((reason for reason in manifest["plan"]["reasons"] if reason.startswith("wise_ft")), None)
        gate = manifest.get("gate", {})
        say(kind, step=step, seconds=seconds, classes=len(known), accuracy=found, forgetting=forgetting, so_far=generation.metrics["test"]["accuracy"],
            gate=gate.get("passed"), lost=len(gate.get("lost", [])), strategy=manifest["plan"]["strategy"],
            epochs=manifest["plan"]["settings"]["epochs"], lr=manifest["plan"]["settings"]["lr"], sweep=sweep)  # fmt: skip
        return met

    def forgotten(self, now: dict[str, float]) -> float:
        """How far, in the mean, the earlier steps' accuracies are below the best that they ever had."""
        lost = [best - now[part] for part, best in self.best.items()]
        self.best = {part: max(value, self.best.get(part, 0.0)) for part, value in now.items()}
        return round(sum(lost) / len(lost), 5)


def steps(data: Path, run: Comparison, per_class: int) -> None:
    rows = thinned({split: read(data / f"{split}.csv") for split in SPLITS}, per_class)
    labels = sorted({label for _, label in rows["train"]})
    size = len(labels) // STEPS
    compared(rows, [labels[start : start + size] for start in range(0, len(labels), size)], run)


def halves(data: Path, run: Comparison, per_class: int) -> None:
    """Class folders below train, val or valid, and test; without a split for validation it is carved out of train."""
    run.settings |= {"task": "image-classification", "input": "text"}  # the column of the paths, as ``write`` calls it
    rows = pictures(data, per_class)
    labels = sorted({label for _, label in rows["train"]})
    compared(rows, [labels[: len(labels) // 2], labels[len(labels) // 2 :]], run)


def compared(rows: Rows, parts: list[list[str]], run: Comparison) -> None:
    folders = [write(run.scratch / f"step{number}", rows, set(part)) for number, part in enumerate(parts, 1)]
    everything = write(run.scratch / "all", rows, {label for part in parts for label in part})
    run.sequence(folders, everything)


def shift(data: Path, run: Comparison, per_class: int) -> None:
    """The same labels, another way of asking. Classes that only one side has are left out."""
    from sklearn.model_selection import train_test_split

    train = read(data / "train.csv")
    held, valid = train_test_split(train, test_size=0.1, random_state=0, stratify=[label for _, label in train])
    rows = thinned({"train": held, "val": valid, "test": read(data / "test.csv")}, per_class)
    sides: list[Rows] = [
        {split: [row for row in part if row[0].rstrip().endswith("?") == asks] for split, part in rows.items()} for asks in (True, False)
    ]
    labels = set.intersection(*({label for _, label in side["train"]} for side in sides))
    folders = [write(run.scratch / name, side, labels) for name, side in zip(("questions", "others"), sides, strict=True)]
    everything = write(run.scratch / "all", rows, labels)
    run.sequence(folders, everything)


def pictures(data: Path, per_class: int) -> Rows:
    """A split for validation that is not given is every tenth of what is taken of train."""
    names = {"train": "train", "val": "val" if (data / "val").is_dir() else "valid", "test": "test"}
    found: Rows = {split: [(str(path), path.parent.name) for path in sorted((data / name).glob("*/*"))] for split, name in names.items()}
    found = thinned(found, per_class)
    if not found["val"]:
        found["val"] = found["train"][::10]
        found["train"] = [row for place, row in enumerate(found["train"]) if place % 10]
    return found


def thinned(rows: Rows, per_class: int) -> Rows:
    if not per_class:
        return rows
    taken: dict[str, int] = defaultdict(int)
    kept = []
    for row in rows["train"]:
        taken[row[1]] += 1
        kept += [row] if taken[row[1]] <= per_class else []
    return {**rows, "train": kept}


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
