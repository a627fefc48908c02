"""Start-up: ``--help``, ``log``, and what ``plan`` on 10,003 texts takes beyond importing torch and transformers.

    python benchmarks/startup.py --repeats 5

The imports are those that loading a sentence encoder with transformers takes: torch, transformers, its BERT and its tokenizer. ``plan`` runs in the process that
has imported them; Regraft's own imports count. The bars: 0.3 s, 0.3 s, 1.5 s.
All from bytecode, as pip leaves it behind: where Python may write none (PYTHONDONTWRITEBYTECODE), it goes to a folder for the time of the
benchmark, written by one run of each that does not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from harness import DATA

PLAN = """
import time
import torch, transformers
from transformers import AutoConfig, AutoTokenizer, BertModel, BertTokenizerFast
began = time.perf_counter(), time.process_time()
from regraft.cli.__main__ import main
try:
    main()
finally:
    print(time.perf_counter() - began[0], time.process_time() - began[1])
"""


def seconds(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: once")
    args = parser.parse_args()
    data, regraft = str(DATA / "banking77" / "train.csv"), (sys.executable, "-m", "regraft.cli")
    taken: dict[str, list[float]] = {"--help": [], "log": [], "plan, wall": [], "plan, processor": []}
    with tempfile.TemporaryDirectory() as store, tempfile.TemporaryDirectory() as bytecode:
        if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
            os.environ["PYTHONPYCACHEPREFIX"] = bytecode
        for turn in range(2 if args.quick else 1 + args.repeats):
            found = {"--help": seconds(*regraft, "--help"), "log": seconds(*regraft, "log", "--store", store)}
            command = [sys.executable, "-c", PLAN, "plan", data, "--model", "bundled:minilm", "--strategy", "full", "--store", store]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            found |= {"plan, wall": float(said[-2]), "plan, processor": float(said[-1])}
            for name in taken if turn else ():
                taken[name].append(found[name])
    print("| what | s, median (range) |\n|---|---|")
    for name, own in taken.items():
        print(f"| {name} | {statistics.median(own):.2f} ({min(own):.2f}-{max(own):.2f}) |")


if __name__ == "__main__":
    main()
