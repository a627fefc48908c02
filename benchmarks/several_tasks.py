"""Entailment and relatedness of SICK learned together under every weighting, beside equal weights and each task by itself, all under the same settings.

    python benchmarks/several_tasks.py --out out/several_tasks                     the whole of it: 4,500 pairs to learn from
    python benchmarks/several_tasks.py --out out/several_tasks --only pcgrad       one of them
    python benchmarks/several_tasks.py --out out/several_tasks --table             what is there so far

bundled:minilm; nothing is chosen on test, and valid is not looked at. Each run leaves its answers to the test pairs in ``--out`` and is not run again, so that a long benchmark
goes on where it was stopped. The table: entailment accuracy and relatedness r2 on test, and for each weighting the paired verdicts against the tasks by themselves.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from harness import DATA, HERE

from regraft import tasks
from regraft.data.several import alone, labelled, own
from regraft.lineage import Store
from regraft.train.objective import read
from regraft.trunk import machine
from regraft.tune.decide import decide
from regraft.tune.execute import Execution
from regraft.tune.job import open_data, open_job
from regraft.tune.request import Request

MODEL, TARGET = "bundled:minilm", "entailment,relatedness"
WEIGHTINGS = {
    "equal": "",
    "constant": "task_weights(relatedness=0.5)",
    "linear": "task_weights(relatedness=linear(1, 0.2))",
    "cosine": "task_weights(relatedness=cosine(1, 0.2))",
    "expression": "task_weights(entailment=1, relatedness=exp(-2 * t))",
    "uncertainty": "uncertainty",
    "gradnorm": "gradnorm",
    "dwa": "dwa",
    "famo": "famo",
    "pcgrad": "pcgrad",
}
ALONE = ("entailment", "relatedness")


def data(rows: int, test: int, folder: Path) -> str:
    """SICK as it is, or its first rows."""
    if not rows:
        return str(DATA / "sick")
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", rows), ("dev", rows // 9), ("test", test)):
        pandas.read_csv(DATA / "sick" / f"{name}.csv").head(count).to_csv(folder / f"{name}.csv", index=False)
    return str(folder)


def run(name: str, options: argparse.Namespace) -> None:
    """Train, answer the test pairs, and leave the answers."""
    settings = {"epochs": options.epochs, "lr": options.lr, "batch_size": 32, "seed": options.seed, "refit": False, "controls": False}
    request = Request(data=data(options.rows, options.test, options.out / "data"), model=MODEL, target=TARGET, input="sentence1,sentence2",
                      strategy=options.strategy, objective=WEIGHTINGS.get(name), settings=settings)  # fmt: skip
    dataset = open_data(request)
    if name in ALONE:
        dataset = alone(dataset, name)
        request = replace(request, target=name, task=dataset.task)
    job = open_job(request, dataset, MODEL)
    plan = decide(job, machine.measure(), objectives=read(request.objective or None))
    execution = Execution(job=job, plan=plan, store=Store(options.out / "store"), name=name, resume=True)
    began, wall = time.process_time(), time.perf_counter()
    found = execution.measured("test")
    seconds = {
        "processor_s": time.process_time() - began,
        "wall_s": time.perf_counter() - wall,
        "objective": WEIGHTINGS.get(name, ""),
        "settings": settings,
    }
    np.savez(options.out / f"{name}.npz", scores=found.scores, targets=np.asarray(found.encoded.targets))
    (options.out / f"{name}.json").write_text(json.dumps({"metrics": found.document["metrics"], **seconds}, indent=1))


def table(options: argparse.Namespace) -> str:
    """What is there so far."""
    dataset = open_data(Request(data=data(options.rows, options.test, options.out / "data"), target=TARGET, input="sentence1,sentence2"))
    members = tasks.of(dataset.task).bound(dataset.facts).members
    held = {name: np.load(options.out / f"{name}.npz") for name in (*ALONE, *WEIGHTINGS) if (options.out / f"{name}.npz").is_file()}
    lines = [
        "| weighting | entailment accuracy | against alone | relatedness r2 | against alone | processor time |",
        "|---|---|---|---|---|---|",
    ]
    for name in WEIGHTINGS:
        if name in held:
            kept = json.loads((options.out / f"{name}.json").read_text())
            cells = [cell for member in members for cell in cells_of(member, held[name], held.get(member.name), kept["metrics"])]
            lines.append(f"| {name} | {' | '.join(cells)} | {kept['processor_s']:.0f} s |")
    for name in ALONE:
        if name in held:
            kept = json.loads((options.out / f"{name}.json").read_text())
            metric = kept["metrics"]["accuracy" if name == "entailment" else "r2"]
            lines.append(
                f"| {name} by itself | {metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}] | | | | {kept['processor_s']:.0f} s |"
            )
    return "\n".join(lines)


def cells_of(member: Any, mine: Any, theirs: Any, metrics: dict[str, Any]) -> tuple[str, str]:
    """The headline of one task with its interval, and the verdict against the task by itself."""
    metric = metrics[f"{member.name}/{member.task.headline}"]
    value = f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"
    if theirs is None:
        return value, ""
    rows = labelled(mine["targets"], member.targets)
    truth = own(mine["targets"][rows], member.targets, member.task.form.target)
    verdict = member.task.compare(member.answers(mine["scores"][rows]), member.task.answers(theirs["scores"]), truth, member.classes)
    d = verdict.difference
    return value, f"{verdict.verdict} {d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "out" / "several_tasks")
    parser.add_argument("--only", nargs="*", default=[*ALONE, *WEIGHTINGS])
    parser.add_argument("--rows", type=int, default=0, help="training pairs, the first ones; 0: all")
    parser.add_argument("--test", type=int, default=1000, help="test pairs, where --rows is given")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--strategy", default="lp_ft+freeze(below=blocks.4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in () if options.table else options.only:
        if not (options.out / f"{name}.npz").is_file():
            run(name, options)
            print(name, (options.out / f"{name}.json").read_text(), flush=True)
    print(table(options))


if __name__ == "__main__":
    main()
