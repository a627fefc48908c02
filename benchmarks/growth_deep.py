"""Growth by gradient against joint training and against training on without protection.

    python benchmarks/growth_deep.py steps DATA                    clinc150 in five steps of 30 classes: way deep, joint, naive
    python benchmarks/growth_deep.py halves DATA --model MODEL     class folders (cifar10, flowers12): half of the classes, then the other half
    python benchmarks/growth_deep.py shift DATA                    banking77: tuned on questions that end in "?", grown on the other ones; WiSE-FT sweep

DATA: the folder of the data set. Prints one JSON row for each fact; ratios are within one call. ``--per-class N`` takes the first N training examples of each
class only. "joint" sees everything at once by the same strategy; "naive" goes on from the parent by the same strategy, without replay, distillation or
interpolation, its gate overruled. Old and new are test accuracies of the child on the classes (or domain) of the first step and of the last.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from growth import SPLITS, read, say, timed, write

Rows = dict[str, list[tuple[str, str]]]
"""Split -> (text or path of a picture, label)."""
UNPROTECTED = {"replay": 0, "objective": "", "wise_ft": 1.0, "accept_forgetting": "the control without protection"}
STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "halves", "shift"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="bundled:minilm")
    parser.add_argument("--strategy", default="top(n=2)")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--per-class", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = Comparison(Path(scratch), {"strategy": asked.strategy, "epochs": asked.epochs}, asked.model)
        {"steps": steps, "halves": halves, "shift": shift}[asked.what](asked.data, run, asked.per_class)


class Comparison:
    """``settings``: of every run alike."""

    def __init__(self, scratch: Path, settings: dict[str, Any], model: str) -> None:
        self.scratch, self.settings, self.model, self.store = scratch, settings, model, scratch / "store"

    def tuned(self, folder: Path, name: str) -> tuple[Any, dict[str, float]]:
        import regraft as rg

        return timed(lambda: rg.tune(folder, model=self.model, store=self.store, name=name, **self.settings))

    def grown(self, parent: str, folder: Path, name: str, **more: Any) -> tuple[Any, dict[str, float]]:
        """A refused step is taken all the same, and said: only then can its losses be shown."""
        import regraft as rg

        options = {"accept_forgetting": "measured by a benchmark", **self.settings, **more}
        return timed(lambda: rg.grow(parent, folder, way="deep", store=self.store, name=name, **options))

    def sequence(self, folders: list[Path], measured: dict[str, Path]) -> None:
        """All three on the same steps; ``measured``: what -> folder whose test split it is measured on."""
        parent, seconds = self.tuned(folders[0], "first")
        self.told("first", 1, parent, seconds, measured)
        for kind, more in (("deep", {}), ("naive", UNPROTECTED)):
            name = "first"
            for number, folder in enumerate(folders[1:], 2):
                child, seconds = self.grown(name, folder, kind, **more)
                name = kind
                self.told(kind, number, child, seconds, measured)

    def told(self, kind: str, step: int, generation: Any, seconds: dict[str, float], measured: dict[str, Path]) -> None:
        manifest = generation.record.manifest
        known = set(generation.classes)
        found = {what: generation.evaluate(str(folder), split="test")["metrics"]["accuracy"] for what, folder in measured.items()
                 if {label for _, label in read(folder / "test.csv")} <= known}  # fmt: skip
        sweep = next((reason for reason in manifest["plan"]["reasons"] if reason.startswith("wise_ft")), None)
        gate = manifest.get("gate", {})
        say(
            kind,
            step=step,
            seconds=seconds,
            classes=len(known),
            accuracy=found,
            gate=gate.get("passed"),
            lost=len(gate.get("lost", [])),
            sweep=sweep,
        )


def steps(data: Path, run: Comparison, per_class: int) -> None:
    rows = thinned({split: read(data / f"{split}.csv") for split in SPLITS}, per_class)
    labels = sorted({label for _, label in rows["train"]})
    size = len(labels) // STEPS
    compared(rows, [labels[start : start + size] for start in range(0, len(labels), size)], run)


def halves(data: Path, run: Comparison, per_class: int) -> None:
    """Class folders below train, val or valid, and test; without a split for validation it is carved out of train."""
    run.settings |= {"task": "image-classification", "input": "text"}  # the column of the paths, as ``write`` calls it
    rows = thinned(pictures(data), per_class)
    labels = sorted({label for _, label in rows["train"]})
    compared(rows, [labels[: len(labels) // 2], labels[len(labels) // 2 :]], run)


def compared(rows: Rows, parts: list[list[str]], run: Comparison) -> None:
    folders = [write(run.scratch / f"step{number}", rows, set(part)) for number, part in enumerate(parts, 1)]
    everything = write(run.scratch / "all", rows, {label for part in parts for label in part})
    measured = {"all": everything, "old": folders[0], "new": folders[-1]}
    run.sequence(folders, measured)
    joint, seconds = run.tuned(everything, "joint")
    run.told("joint", len(parts), joint, seconds, measured)


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
    measured = {"all": everything, "old": folders[0], "new": folders[1]}
    run.sequence(folders, measured)
    joint, seconds = run.tuned(everything, "joint")
    run.told("joint", 2, joint, seconds, measured)


def pictures(data: Path) -> Rows:
    names = {"train": "train", "val": "val" if (data / "val").is_dir() else "valid", "test": "test"}
    found: Rows = {split: [(str(path), path.parent.name) for path in sorted((data / name).glob("*/*"))] for split, name in names.items()}
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
