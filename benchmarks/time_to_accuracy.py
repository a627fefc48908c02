"""How long a pretrained trunk takes to the accuracy that the same trunk reaches from scratch, on valid, the plan and its probe counted.

    python benchmarks/time_to_accuracy.py chest_xray --model bundled:vision

Both runs are ``regraft.tune`` with what it chooses itself; a quarter of the training examples is valid, measured after every epoch. The mark
is the best that the run from scratch ever reaches.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time

from harness import DATA

import regraft
from regraft.train.history import EpochRecord, Silent


class Clock(Silent):
    """Seconds since the start and accuracy on valid, after each epoch."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.points: list[tuple[float, float]] = []

    def on_epoch(self, record: EpochRecord) -> None:
        self.points.append((time.perf_counter() - self.began, record.valid["accuracy"]))

    def reached(self, mark: float) -> float:
        return next((seconds for seconds, value in self.points if value >= mark), float("inf"))


def curve(data: str, model: str, **options: object) -> Clock:
    with tempfile.TemporaryDirectory() as store:
        clock = Clock()
        regraft.tune(data, model=model, store=store, refit=False, valid_fraction=0.25, observer=clock, **options)
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default="bundled:vision")
    args = parser.parse_args()
    data = str(DATA / args.data)
    tuned, scratch = curve(data, args.model), curve(data, args.model, strategy="scratch")
    mark = max(value for _, value in scratch.points)
    seconds = {"pretrained": tuned.reached(mark), "scratch": scratch.reached(mark)}
    print(json.dumps({"data": args.data, "mark": mark, "seconds": seconds, "ratio": seconds["pretrained"] / seconds["scratch"],
                      "best": {"pretrained": max(value for _, value in tuned.points), "scratch": mark}}))  # fmt: skip


if __name__ == "__main__":
    main()
