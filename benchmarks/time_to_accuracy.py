"""How long a pretrained trunk takes to the accuracy that the same trunk reaches from scratch, the plan and its probe counted.

    python benchmarks/time_to_accuracy.py chest_xray --model bundled:vision

Both runs are ``regraft.tune`` with what it chooses itself. The test examples are watched after every epoch, which decides nothing: no run
is stopped or chosen by them. The mark is where the run from scratch ends.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

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


def curve(data: Path, model: str, **options: object) -> Clock:
    with tempfile.TemporaryDirectory() as folder:
        watched = Path(folder) / data.name
        watched.mkdir()
        for split, name in (("train", "train"), ("test", "valid")):
            (watched / name).symlink_to((data / split).resolve())
        clock = Clock()
        regraft.tune(str(watched), model=model, store=Path(folder) / "store", observer=clock, **options)
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default="bundled:vision")
    args = parser.parse_args()
    data = DATA / args.data
    tuned, scratch = curve(data, args.model), curve(data, args.model, strategy="scratch")
    (_, ended), (all_s, mark) = tuned.points[-1], scratch.points[-1]
    print(json.dumps({"data": args.data, "accuracy": {"pretrained": ended, "scratch": mark}, "seconds_to_it": {"pretrained": tuned.reached(mark), "scratch": all_s},
                      "first_reached_by_scratch_s": scratch.reached(mark), "curves": {"pretrained": tuned.points, "scratch": scratch.points}}))  # fmt: skip


if __name__ == "__main__":
    main()
