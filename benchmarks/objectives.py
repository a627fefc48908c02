"""Objectives beside plain training: of each kind three settings, one of them chosen on valid, and that one measured on test once.

    python benchmarks/objectives.py flowers12 OUT_FOLDER --seeds 0 1 2 [--kinds grid drift gap delta co_tuning]

A cut of the training split with few examples of each class to learn from and others for valid, drawn anew for every seed; the test split is read by the
chosen runs alone. Every kind has the same budget, three runs, but for plain training, which has one. A row for each run is appended to
OUT_FOLDER/objectives.jsonl as soon as it is known, and what is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from harness import DATA

from regraft.tune.conduct import tune
from regraft.tune.generation import Generation
from regraft.tune.generation import open as opened

PLAIN = "plain"


@dataclass(frozen=True)
class Ground:
    """``per_class`` and ``valid``: examples of each class to learn from, and to choose by."""

    model: str
    per_class: int
    valid: int
    kinds: dict[str, tuple[str, ...]]
    options: dict[str, Any] = field(default_factory=dict)


FLOWERS = {
    PLAIN: ("",),
    "grid": tuple(f"l2_sp(strength={value}, head=0)" for value in (0.01, 0.1, 1)),
    "drift": tuple(f"l2_sp(strength=0.1, head=0, adapt=drift, target={value})" for value in (0.02, 0.05, 0.1)),
    "gap": tuple(f"l2_sp(strength=0.1, head=0, adapt=gap, target={value})" for value in (0.1, 0.3, 1)),
    "delta": tuple(f"delta(strength={value}, head=0)" for value in (0.01, 0.1, 1)),
    "co_tuning": tuple(f"co_tuning(weight={value})" for value in (0.3, 1, 2.3)),
}
GROUNDS = {
    "flowers12": Ground("bundled:vision", 5, 5, FLOWERS, {"strategy": "full", "epochs": 10, "lr": 1e-3}),
    "banking77": Ground(
        "bundled:minilm",
        10,
        5,
        {kind: FLOWERS[kind] for kind in (PLAIN, "grid", "drift", "gap")},
        {"strategy": "lp_ft+freeze(below=blocks.4)", "epochs": 5},
    ),
}


def cut(data: str, ground: Ground, folder: Path, seed: int) -> Path:
    """Folder of ``train`` and ``valid``, drawn from the training split of ``data``."""
    if folder.exists():
        return folder
    source, draws = DATA / data, np.random.default_rng(seed)
    shares = {"train": slice(0, ground.per_class), "valid": slice(ground.per_class, ground.per_class + ground.valid)}
    if (source / "train.csv").exists():
        frame = pandas.read_csv(source / "train.csv").sample(frac=1, random_state=seed)
        folder.mkdir(parents=True)
        for split, share in shares.items():
            frame[frame.groupby("label").cumcount().isin(range(share.start, share.stop))].to_csv(folder / f"{split}.csv", index=False)
        return folder
    for label in sorted((source / "train").iterdir()):
        images = draws.permutation(sorted(label.iterdir()))
        for split, share in shares.items():
            (folder / split / label.name).mkdir(parents=True, exist_ok=True)
            for image in images[share]:
                (folder / split / label.name / image.name).symlink_to(image.resolve())
    return folder


class Bench:
    def __init__(self, data: str, out: Path) -> None:
        self.data, self.ground, self.out, self.log = data, GROUNDS[data], out, out / "objectives.jsonl"
        out.mkdir(parents=True, exist_ok=True)
        rows = map(json.loads, self.log.read_text().splitlines()) if self.log.exists() else ()
        self.known: dict[str, dict[str, Any]] = {row["name"]: row for row in rows if row["data"] == data}

    def run(self, objective: str, seed: int) -> dict[str, Any]:
        """The row of one run: how it fares on valid."""
        name = f"{self.data}-{seed}-{''.join(letter if letter.isalnum() else '-' for letter in objective) or PLAIN}"
        if name not in self.known:
            folder = cut(self.data, self.ground, self.out / f"{self.data}-{seed}", seed)
            made = tune(str(folder), model=self.ground.model, objective=objective, seed=seed, refit=False, test_fraction=0.0, keep="nothing",
                        store=self.out / "store", name=name, resume=True, **self.ground.options)  # fmt: skip
            valid = {metric: value["value"] for metric, value in made.metrics["valid"].items()}
            self._note(
                {
                    "data": self.data,
                    "name": name,
                    "objective": objective,
                    "seed": seed,
                    "valid": valid,
                    "train_s": made.document["cost"]["train_s"],
                }
            )
        return self.known[name]

    def chosen(self, kind: str, seed: int) -> dict[str, Any]:
        """Of a kind, the run with the lowest log loss on valid."""
        return min((self.run(objective, seed) for objective in self.ground.kinds[kind]), key=lambda row: row["valid"]["log_loss"])

    def tested(self, kind: str, seed: int) -> dict[str, Any]:
        """The chosen run of ``kind`` on test, beside the plain one and beside the grid's."""
        name = f"{self.data}-{seed}-{kind}-test"
        if name not in self.known:
            row, test = (
                self.chosen(kind, seed),
                str(DATA / self.data / ("test.csv" if (DATA / self.data / "test.csv").exists() else "test")),
            )
            rivals = {rival: self._of(self.chosen(rival, seed)) for rival in (PLAIN, "grid") if rival != kind}
            found = {rival: self._of(row).evaluate(test, against=other) for rival, other in rivals.items()}
            document = next(iter(found.values()))
            against = {rival: {key: one["against"][key] for key in ("verdict", "difference")} for rival, one in found.items()}
            measured = {metric: document["metrics"][metric] for metric in ("accuracy", "log_loss")}
            self._note(
                {
                    "data": self.data,
                    "name": name,
                    "kind": kind,
                    "seed": seed,
                    "objective": row["objective"],
                    "test": measured,
                    "against": against,
                }
            )
        return self.known[name]

    def _of(self, row: dict[str, Any]) -> Generation:
        return opened(row["name"], store=self.out / "store")

    def _note(self, row: dict[str, Any]) -> None:
        self.known[row["name"]] = row
        with self.log.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def table(self, kinds: list[str], seeds: list[int]) -> Iterator[str]:
        yield "| kind | chosen on valid, a setting for each seed | test accuracy | test log loss | against plain | against the grid | train s, all runs |"
        yield "|---|---|---|---|---|---|---|"
        for kind in kinds:
            rows = [self.tested(kind, seed) for seed in seeds]
            seconds = sum(self.run(objective, seed)["train_s"] for objective in self.ground.kinds[kind] for seed in seeds)
            cells = [
                kind,
                "; ".join(row["objective"] or "-" for row in rows),
                *(_values([row["test"][metric]["value"] for row in rows]) for metric in ("accuracy", "log_loss")),
                *(
                    ", ".join(row["against"][rival]["verdict"] if rival in row["against"] else "-" for row in rows)
                    for rival in (PLAIN, "grid")
                ),
                f"{seconds:.0f}",
            ]
            yield f"| {' | '.join(cells)} |"


def _values(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=sorted(GROUNDS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--only-valid", action="store_true", help="make the runs and leave the test split alone")
    asked = parser.parse_args()
    bench = Bench(asked.data, asked.out)
    kinds = asked.kinds or list(bench.ground.kinds)
    for seed in asked.seeds:
        for kind in kinds:
            row = bench.chosen(kind, seed)
            print(f"seed {seed} {kind}: {row['objective'] or PLAIN}, valid {row['valid']}", flush=True)
    if not asked.only_valid:
        print("\n".join(bench.table(kinds, asked.seeds)))


if __name__ == "__main__":
    main()
