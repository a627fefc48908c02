"""``regraft tune`` as a contestant: one JSON line. The store is a fresh one, unless ``--store`` names one that has its cache already."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as fresh:
    store = [] if "--store" in sys.argv else ["--store", fresh]
    answer = subprocess.run(
        [sys.executable, "-m", "regraft.cli", "tune", *sys.argv[1:], "--model", "bundled:minilm", *store, "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
document = json.loads(answer.stdout)
accuracy = document["metrics"]["test"]["accuracy"]["value"]
sys.stdout.write(
    json.dumps({"accuracy": accuracy, "peak_bytes": document["cost"]["peak_memory_bytes"], "train_s": document["cost"]["train_s"]}) + "\n"
)
