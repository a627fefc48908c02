"""Start-up: ``--help``, ``log``, and what ``plan`` on 10,003 texts takes beyond importing torch and transformers.

    python benchmarks/startup.py --repeats 5

The imports are those that loading a sentence encoder with transformers takes: torch, transformers, its BERT and its tokenizer. The bars: 0.3 s, 0.3 s, 1.5 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from harness import DATA

IMPORTS = "import torch, transformers; from transformers import AutoConfig, AutoTokenizer, BertModel, BertTokenizerFast"


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
    taken: dict[str, list[float]] = {"help": [], "log": [], "imports": [], "plan": [], "plan beyond the imports": []}
    with tempfile.TemporaryDirectory() as store:
        for _ in range(1 if args.quick else args.repeats):
            taken["help"].append(seconds(*regraft, "--help"))
            taken["log"].append(seconds(*regraft, "log", "--store", store))
            taken["imports"].append(seconds(sys.executable, "-c", IMPORTS))
            taken["plan"].append(seconds(*regraft, "plan", data, "--model", "bundled:minilm", "--strategy", "full", "--store", store))
            taken["plan beyond the imports"].append(taken["plan"][-1] - taken["imports"][-1])
    print("| what | s, median (range) |\n|---|---|")
    for name, own in taken.items():
        print(f"| {name} | {statistics.median(own):.2f} ({min(own):.2f}-{max(own):.2f}) |")


if __name__ == "__main__":
    main()
