"""``check`` and ``plan`` on many rows of text: seconds and peak memory of the whole command, at sizes that double.

    python benchmarks/million_rows.py --rows 250000 500000 1000000

The rows are those of banking77, repeated, each with two of its words replaced by words of the data set: hardly two are equal, and most have a near duplicate.
The bar is 1.5 GB for a million rows, and linear in rows.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness import DATA

MODEL = "bundled:minilm"
REPLACED = 2


def write(path: Path, num_rows: int) -> None:
    """``num_rows`` edited rows as one table with the columns text and label."""
    with (DATA / "banking77" / "train.csv").open(newline="") as file:
        known = list(csv.DictReader(file))
    words = sorted({word for row in known for word in row["text"].split()})
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(num_rows):
            row = known[number % len(known)]
            edited = row["text"].split()
            for _ in range(REPLACED):
                edited[draw.randrange(len(edited))] = draw.choice(words)
            writer.writerow((" ".join(edited), row["label"]))


def measured(command: Sequence[str]) -> tuple[float, float, float]:
    """Wall seconds, seconds of processor time, and the most MiB that the command held."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: {said[-4000:]}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--verbs", nargs="*", default=["check", "plan"])
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: 2,000 rows")
    args = parser.parse_args()
    print("| rows | command | wall s | processor s | peak MiB |\n|---|---|---|---|---|", flush=True)
    for num_rows in [2_000] if args.quick else args.rows:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "rows.csv"
            write(table, num_rows)
            for verb in args.verbs:
                options = ["--model", MODEL, "--strategy", "full", "--store", folder] if verb == "plan" else []
                wall, processor, peak = measured([sys.executable, "-m", "regraft.cli", verb, str(table), "--json", *options])
                print(f"| {num_rows:,} | {verb} | {wall:.1f} | {processor:.1f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
