"""Classes in five steps of 30 beside Avalanche: clinc150, the same frozen MiniLM features or the same model, the same order of classes.

    python benchmarks/avalanche_steps.py DATA features --avalanche /envs/avalanche/bin/python --work FOLDER [--seeds 3] [--quick]
    python benchmarks/avalanche_steps.py DATA model --avalanche /envs/avalanche/bin/python --work FOLDER

DATA: the folder of clinc150. Avalanche needs an environment of its own (``pip install avalanche-lib transformers``). Hold the run to one core and one thread:
``OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/avalanche_steps.py ...``.

features    mean-pooled features, computed once by Regraft for everybody. Regraft: the sums of ``way="statistics"``. Avalanche: EWC, LwF, replay of all that was
            seen, and beside them naive, cumulative and joint training and streaming LDA, under a linear head or one with a hidden layer.
model       MiniLM with its top two blocks trainable under Avalanche; Regraft: the same sums on features, whose computing is part of its time (said under
            "features"). Regraft's deep way is measured by ``growth_deep.py steps``.

Every method's settings are chosen from ``GRIDS`` by the accuracy over all classes on val after the last step (seed 0), and test is looked at for the chosen
ones alone (``model`` answers both at once, as each run takes minutes). Rows of the grid stay in FOLDER, and a run that was killed goes on. Prints a JSON row for each fact; seconds are processor time of learning:
importing, reading, features and measuring are told apart or left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from growth import SPLITS, STEPS, read, say, write
from text_peers import HERE, minilm

MODEL = "bundled:minilm"
Settings = dict[str, Any]
Row = dict[str, Any]


def grid(method: str, **choices: Iterable[Any]) -> list[Settings]:
    """Every combination of ``choices``, seed 0, in batches of 32."""
    fixed = {"method": method, "seed": 0, "batch_size": 32}
    return [{**fixed, **dict(zip(choices, values, strict=True))} for values in product(*choices.values())]


BAR = ("ewc", "lwf", "replay")
ALL = [7500]
"""Training texts of clinc150: a memory that nothing leaves."""
GRIDS: dict[str, list[Settings]] = {
    "features": [
        *grid("replay", lr=[3e-3], epochs=[2, 5, 10], mem_size=ALL, batch_size_mem=[32, 128]),
        *grid("replay", lr=[1e-2], epochs=[2, 5], mem_size=ALL, batch_size_mem=[32, 128]),
        *grid("ewc", lr=[1e-2, 3e-2], epochs=[2], ewc_lambda=[1e2, 1e3, 1e4]),
        *grid("ewc", lr=[1e-2], epochs=[5], ewc_lambda=[1e3, 1e4]),
        *grid("lwf", lr=[1e-3, 3e-3], epochs=[2], alpha=[1.0, 5.0, 20.0], temperature=[2.0]),
        *grid("ewc", lr=[3e-3], epochs=[2, 5], ewc_lambda=[3e2, 1e3, 3e3]),
        *grid("lwf", lr=[1e-3], epochs=[5], alpha=[1.0, 5.0, 20.0], temperature=[2.0]),
        *grid("lwf", lr=[1e-2, 3e-2], epochs=[2], alpha=[1.0, 5.0, 20.0, 100.0], temperature=[2.0]),
        *grid("lwf", lr=[1e-2, 3e-2], epochs=[2], alpha=[20.0], temperature=[1.0]),
        *grid("lwf", lr=[1e-2], epochs=[2, 5], alpha=[100.0, 300.0], temperature=[1.0]),
        *grid("lwf", lr=[1e-2], epochs=[2], alpha=[300.0], temperature=[2.0]),
        *({**one, "batch_size": 1500, "epochs": 1, "width": 384, "classes": 150} for one in grid("slda", shrinkage_param=[1e-5, 1e-4, 1e-3, 1e-2, 0.1])),
        *grid("naive", lr=[1e-3, 1e-2], epochs=[2]),
        *grid("cumulative", lr=[3e-3], epochs=[3]),
        *grid("joint", lr=[3e-3, 1e-2], epochs=[10]),
        *grid("replay", lr=[1e-3], epochs=[5], mem_size=ALL, batch_size_mem=[128], hidden=[512]),
        *grid("ewc", lr=[1e-3, 3e-3], epochs=[2], ewc_lambda=[1e3], hidden=[512]),
        *grid("lwf", lr=[1e-3], epochs=[2], alpha=[5.0], temperature=[2.0], hidden=[512]),
    ],
    "model": [
        *grid("replay", lr=[2e-4, 5e-4], head_lr=[1e-2], epochs=[1], mem_size=ALL, batch_size_mem=[32]),
        *grid("ewc", lr=[2e-4], head_lr=[1e-2], epochs=[1], ewc_lambda=[1e3]),
        *grid("lwf", lr=[2e-4], head_lr=[1e-2], epochs=[1], alpha=[5.0, 100.0], temperature=[2.0]),
        *grid("replay", lr=[2e-4], head_lr=[1e-2], epochs=[1], mem_size=ALL, batch_size_mem=[128]),
        *grid("replay", lr=[2e-4], head_lr=[3e-3], epochs=[2], mem_size=ALL, batch_size_mem=[32]),
        *grid("ewc", lr=[2e-4], head_lr=[1e-2], epochs=[1], ewc_lambda=[1e5, 1e6]),
        *grid("lwf", lr=[2e-4], head_lr=[1e-2], epochs=[1], alpha=[300.0], temperature=[1.0]),
        *grid("replay", lr=[2e-4], head_lr=[3e-3], epochs=[4], mem_size=ALL, batch_size_mem=[32]),
    ],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("part", choices=GRIDS)
    parser.add_argument("--avalanche", required=True, help="the interpreter of an environment with avalanche-lib")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--seeds",
        type=int,
        default=3,
        help="of EWC, LwF and replay with the chosen settings; the first is the one that they were chosen with",
    )
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: the first settings of each method, one seed")
    asked = parser.parse_args()
    bench, features = Comparison(asked, asked.part), Comparison(asked, "features")
    bench.prepare()
    features.prepare()
    settings = GRIDS[asked.part]
    if asked.quick:
        bench.seeds, settings = 1, list({one["method"]: one for one in reversed(settings)}.values())
    chosen = best(bench.run(settings, *(["val"] if asked.part == "features" else ["val", "test"])))
    bench.told(chosen, features.statistics())


class Comparison:
    def __init__(self, asked: argparse.Namespace, part: str) -> None:
        self.data, self.part, self.python, self.seeds = asked.data, part, asked.avalanche, asked.seeds
        self.work: Path = asked.work / part

    def prepare(self) -> None:
        """What the contestants read, each split in a file; the time of computing features is said."""
        if all((self.work / f"{split}.npz").exists() for split in SPLITS):
            return
        from regraft.tune import keeping
        from regraft.tune.job import open_data, open_job
        from regraft.tune.request import Request

        self.work.mkdir(parents=True, exist_ok=True)
        rows = {split: read(self.data / f"{split}.csv") for split in SPLITS}
        labels = sorted({label for _, label in rows["train"]})
        request = Request(data=str(write(self.work / "texts", rows, set(labels))))
        job = open_job(request, open_data(request), MODEL)
        assert list(job.dataset.classes) == labels
        network = job.network(dropout=0.0, seed=0)
        for split in SPLITS:
            own = job.dataset.splits["valid" if split == "val" else split]
            encoded, began = job.encoded(own.name), time.process_time()
            if self.part == "model":
                inputs = encoded.batch(np.arange(len(encoded)))["input_ids"].numpy()
                np.savez(self.work / split, inputs=inputs, targets=encoded.targets.astype(np.int64))
                continue
            table = keeping.summable(job, network, own, cache=None)
            assert table.features is not None
            np.savez(self.work / split, inputs=table.features, targets=encoded.targets.astype(np.int64), keys=table.keys)
            say("features", split=split, texts=len(own), processor_s=round(time.process_time() - began, 2))

    def run(self, settings: list[Settings], *on: str) -> list[Row]:
        """Avalanche with each of ``settings``; those that have a row already are not run again."""
        rows, wanted = self.work / f"rows-{on[-1]}.jsonl", self.work / "settings.jsonl"
        done = [json.loads(line)["settings"] for line in rows.read_text().splitlines()] if rows.exists() else []
        if left := [one for one in settings if one not in done]:
            wanted.write_text("".join(json.dumps(one) + "\n" for one in left))
            command = [self.python, str(HERE / "peers" / "avalanche_text.py"), str(self.work), str(wanted), "--on", *on]
            with rows.open("a") as out:
                subprocess.run(
                    [*command, *(["--last", "--going", str(self.work / "going.pt"), "--model", minilm()] if self.part == "model" else [])],
                    stdout=out,
                    check=True,
                )
        found = [json.loads(line) for line in rows.read_text().splitlines()]
        return [row for row in found if row["settings"] in settings]

    def statistics(self) -> Row:
        """Regraft on the same features."""
        row = by_statistics(*(arrays(self.work / f"{split}.npz") for split in ("train", "test")))
        say("regraft statistics", **shown(row), accuracy=interval(row["correct"]))
        return row

    def told(self, chosen: dict[str, Row], own: Row) -> None:
        """The chosen settings on test: the first seed with its interval and the paired verdict of Regraft against it, and all seeds of the three that the bar names."""
        targets = arrays(self.work / "test.npz")["targets"]
        seeds = {method: range(self.seeds if method in BAR else 1) for method in chosen}
        if self.part == "features":
            again = [{**chosen[method]["settings"], "seed": seed} for method in chosen for seed in seeds[method]]
            found = self.run(again, "test")
        else:
            found = list(chosen.values())
        for method, row in chosen.items():
            rows = sorted((one for one in found if one["settings"]["method"] == method), key=lambda one: one["settings"]["seed"])
            correct = [np.array(one["answers"]["test"]) == targets for one in rows]
            say(f"avalanche {method}", settings=row["settings"], val=row["so_far"][-1]["val"], **shown(rows[0]), accuracy=interval(correct[0]),
                seeds=[round(float(one.mean()), 5) for one in correct], all_processor_s=[round(sum(one["processor_s"]), 2) for one in rows],
                regraft_against_it=verdict(own["correct"], correct[0]))  # fmt: skip


def best(rows: list[Row]) -> dict[str, Row]:
    """Of each method the row with the best last accuracy on val; of equal ones that which took less time."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (-row["so_far"][-1]["val"], sum(row["processor_s"]))):
        found.setdefault(row["settings"]["method"], row)
    return found


def by_statistics(train: dict[str, Any], test: dict[str, Any]) -> Row:
    """The sums of ``way="statistics"`` without what surrounds them (reading, measuring, writing the store), which ``growth.py`` has."""
    import torch

    from regraft.evaluate.sums import Sums, solve
    from regraft.surgery.specs import Statistics
    from regraft.surgery.statistics import StatisticsHead

    targets, total, spent, so_far = train["targets"], None, [], []
    size = (int(targets.max()) + 1) // STEPS
    head = StatisticsHead(train["inputs"].shape[1], size, "mean", Statistics())
    for step in range(STEPS):
        rows, known, began = np.flatnonzero(targets // size == step), size * (step + 1), time.process_time()
        new = (train["inputs"][rows], targets[rows], train["keys"][rows])
        if total is None:
            total = Sums.of(*new, lift=head.lifted, num_classes=known)
        else:
            total = total.with_classes([*range(known - size), *[None] * size]).taking(*new, lift=head.lifted)
        solved = solve(total)
        head.take(solved.weights, solved.strength)
        spent.append(round(time.process_time() - began, 3))
        with torch.no_grad():
            asked = test["targets"] < known
            answers = head.linear(head.lift(torch.from_numpy(test["inputs"][asked]))).argmax(dim=1).numpy()
        correct = answers == test["targets"][asked]
        so_far.append({"test": round(float(correct.mean()), 5)})
    return {"processor_s": spent, "so_far": so_far, "correct": correct}


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as held:
        return dict(held)


def shown(row: Row) -> Row:
    return {
        "processor_s": row["processor_s"],
        "in_all_s": round(sum(row["processor_s"]), 2),
        "so_far": [one["test"] for one in row["so_far"]],
    }


def interval(correct: np.ndarray) -> dict[str, float]:
    from regraft.evaluate.metrics import classification

    return classification(np.stack([~correct, correct], axis=1).astype(float), np.ones(len(correct), int), ("wrong", "right"))[
        "accuracy"
    ].json()


def verdict(own: np.ndarray, other: np.ndarray) -> str:
    from regraft.evaluate.compare import paired

    return str(paired(own, other))


if __name__ == "__main__":
    main()
