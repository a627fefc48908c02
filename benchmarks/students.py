"""A student cut from its teacher against the same layers trained directly, epoch for epoch: banking77 with MiniLM, 20 examples a class.

    python benchmarks/students.py WORK --epochs 8

teacher        bundled:minilm, six layers, as Regraft tunes it (``lp_ft``); made once, and kept in WORK with the rest
direct         bundled:minilm without blocks 1, 3 and 5, by the same strategy
from teacher   the teacher without blocks 1, 3 and 5, by the same strategy, with the teacher's answers beside the labels

Both begin with a solved head and see the same examples for the same number of epochs at the same rate; neither ends half-way back to where it began, as a whole
network with few texts does by default: what was cut begins nowhere good. The test split is looked at once, when both are made. Prints one JSON row for each fact.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from growth import say, timed

import regraft as rg
from regraft.grow.distill import distill
from surgery import HALF, MODEL, few

DISTILLED = "distill(temperature=2, weight=0.7)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?", default=None)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--epochs", type=float, default=8.0)
    parser.add_argument("--teacher-epochs", type=float, default=5.0)
    asked = parser.parse_args()
    work = asked.work or Path(tempfile.mkdtemp())
    data = few(work, asked.per_class)
    store = work / "store"
    common = {"store": store, "strategy": "lp_ft", "valid_fraction": 0.0, "refit": False, "resume": True}
    made("teacher", store, lambda: rg.tune(data, model=MODEL, name="teacher", epochs=asked.teacher_epochs, **common))
    direct = made("direct", store, lambda: rg.tune(data, model=f"{MODEL}+{HALF}", name="direct", epochs=asked.epochs, **common))
    student = made(
        "student",
        store,
        lambda: distill("teacher", data, model=f"teacher+{HALF}", name="student", epochs=asked.epochs, objective=DISTILLED, **common),
    )
    against = student.evaluate(str(data), split="test", against=direct)["against"]
    say("student against direct", verdict=against)


def made(name: str, store: Path, work: Any) -> rg.Generation:
    """The generation ``name``; one that is in the store is not made again."""
    if name in rg.Store(store).names():
        return rg.open(name, store=store)
    generation, seconds = timed(work)
    settings, cost = generation.record.manifest["plan"]["settings"], generation.record.manifest["cost"]
    say(
        name,
        seconds=seconds,
        test=generation.metrics["test"]["accuracy"],
        epochs=settings["epochs"],
        lr=settings["lr"],
        parameters=cost["parameters"],
    )
    return generation


if __name__ == "__main__":
    main()
