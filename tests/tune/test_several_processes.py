"""The same command under ``torchrun``: every process trains, one speaks and records."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np

import regraft as rg

OPTIONS = {"strategy": "lp_ft", "epochs": 2.0, "lr": 1e-3, "batch_size": 8}


def test_two_processes_make_one_generation_and_one_answer(data, model, tmp_path):
    asked = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "regraft", "tune", str(data), "--model", model]
    done = subprocess.run(
        [sys.executable, *command, *asked, "--store", str(tmp_path / "two"), "--name", "both", "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)  # one document, so one process spoke
    made = rg.open("both", store=tmp_path / "two")
    assert document["digest"] == made.digest and document["cost"]["stored_bytes"] > 0
    alone = rg.tune(data, model=model, store=tmp_path / "one", **OPTIONS)
    texts = [line.split(",")[0] for line in data.read_text(encoding="utf-8").splitlines()[1:9]]
    one, both = ([row["probability"] for row in generation.predict(texts)] for generation in (alone, made))
    assert np.allclose(one, both, atol=0.02)  # each process drops out units of its own
