"""What the default command reaches on real data, one job after the other: the table of the README.

    python benchmarks/accuracy.py OUT_FOLDER [JOB ...]

Each job is one ``regraft tune`` on given train and test files; where a job names few examples per class, the first ones of each class
are taken. A row is appended to OUT_FOLDER/accuracy.jsonl as soon as it is known, so nothing is lost when the machine goes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas
from harness import DATA

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Job:
    """``per_class``: training examples of each class, 0 for all. ``bar``: what the project asked for, as text. ``note``: what sets the row apart."""

    data: str
    model: str
    per_class: int = 0
    options: Sequence[str] = field(default=())
    bar: str = ""
    note: str = ""


MOBILENET = f"file:{DATA}/weights/mobilenet_v2_0.35_224_imagenet_notop.safetensors"
SCRATCH = ("--strategy", "scratch")
PROBE = ("--strategy", "linear_probe")
ONE_FIT = ("--set", "refit=false")
FIVE = ("--epochs", "5", *ONE_FIT)
JOBS = {
    "banking77-20": Job("banking77", "bundled:minilm", 20, bar=">= 0.89"),
    "banking77-20-probe": Job("banking77", "bundled:minilm", 20, PROBE),
    "banking77-20-full": Job("banking77", "bundled:minilm", 20, ("--strategy", "full", *ONE_FIT)),
    "banking77-20-lora": Job(
        "banking77", "bundled:minilm", 20, ("--strategy", "lora(rank=4)", *ONE_FIT), bar=">= 0.99 of full, <= 1% of the parameters"
    ),
    "banking77": Job("banking77", "bundled:minilm", bar=">= 0.935"),
    "banking77-probe": Job("banking77", "bundled:minilm", options=PROBE),
    "clinc150": Job("clinc150", "bundled:minilm", bar=">= 0.955"),
    "clinc150-probe": Job("clinc150", "bundled:minilm", options=PROBE),
    "sst2": Job("sst2", "bundled:minilm", bar="not below probe, Trainer, SetFit"),
    "sst2-probe": Job("sst2", "bundled:minilm", options=PROBE),
    "trec": Job("trec", "bundled:minilm", bar="not below probe, Trainer, SetFit"),
    "trec-probe": Job("trec", "bundled:minilm", options=PROBE),
    "flowers12-5": Job("flowers12", "bundled:vision", 5, bar=">= 0.74, scratch + 15 points"),
    "flowers12-5-scratch": Job("flowers12", "bundled:vision", 5, SCRATCH),
    "cifar10-50": Job("cifar10", "bundled:vision", 50, bar=">= 0.63, scratch + 14 points"),
    "cifar10-50-scratch": Job("cifar10", "bundled:vision", 50, SCRATCH),
    "cifar10": Job("cifar10", "bundled:vision", bar=">= 0.78, scratch + 14 points"),
    "cifar10-scratch": Job("cifar10", "bundled:vision", options=(*SCRATCH, "--epochs", "20")),
    "cifar10-5": Job(
        "cifar10", "bundled:vision", options=("--strategy", "full", *FIVE), bar=">= 0.78, scratch + 14 points", note="5 epochs"
    ),
    "cifar10-5-scratch": Job("cifar10", "bundled:vision", options=(*SCRATCH, *FIVE), note="5 epochs"),
    "chest_xray": Job("chest_xray", "bundled:vision", bar=">= 0.88, above scratch"),
    "chest_xray-scratch": Job("chest_xray", "bundled:vision", options=(*SCRATCH, "--epochs", "10")),
    "chest_xray-5": Job(
        "chest_xray", "bundled:vision", options=("--strategy", "full", *FIVE), bar=">= 0.88, above scratch", note="5 epochs"
    ),
    "chest_xray-5-scratch": Job("chest_xray", "bundled:vision", options=(*SCRATCH, *FIVE), note="5 epochs"),
    "flowers12": Job("flowers12", "bundled:vision"),
    "flowers12-probe": Job("flowers12", "bundled:vision", options=PROBE),
    "flowers12-mobilenet": Job("flowers12", MOBILENET),
    "flowers12-mobilenet-probe": Job("flowers12", MOBILENET, options=PROBE),
    "magnetic_tile": Job("magnetic_tile", "bundled:vision"),
    "magnetic_tile-probe": Job("magnetic_tile", "bundled:vision", options=PROBE),
    "magnetic_tile-mobilenet": Job("magnetic_tile", MOBILENET),
    "magnetic_tile-mobilenet-probe": Job("magnetic_tile", MOBILENET, options=PROBE),
}


def prepare(job: Job, folder: Path) -> Path:
    """The data of a job: the folder as it is, or the first examples of each class beside the whole test split."""
    source = DATA / job.data
    if not job.per_class and not (source / "oos_train.csv").exists():
        return source
    cut = folder / f"{job.data}-{job.per_class}"
    if cut.exists():
        return cut
    cut.mkdir(parents=True)
    tables = [path for path in source.glob("*.csv") if path.stem in ("train", "test", "val", "dev")]
    for path in tables:
        frame = pandas.read_csv(path)
        few = path.stem == "train" and job.per_class
        (frame.groupby("label", sort=False).head(job.per_class) if few else frame).to_csv(cut / path.name, index=False)
    if not tables:
        (cut / "test").symlink_to((source / "test").resolve())
        for label in sorted((source / "train").iterdir()):
            (cut / "train" / label.name).mkdir(parents=True)
            for image in sorted(label.iterdir())[: job.per_class]:
                (cut / "train" / label.name / image.name).symlink_to(image.resolve())
    return cut


def main() -> None:
    out, names = Path(sys.argv[1]), sys.argv[2:] or list(JOBS)
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        job = JOBS[name]
        command = [sys.executable, "-m", "regraft.cli", "tune", str(prepare(job, out)), "--model", job.model, *job.options, "--name", name,
                   "--store", str(out / "store"), "--json"]  # fmt: skip
        began = time.perf_counter()
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            print(f"{name} failed:\n{answer.stderr[-3000:]}", file=sys.stderr)
            continue
        document = json.loads(answer.stdout)
        row = {"job": name, "bar": job.bar, "wall_s": round(time.perf_counter() - began, 1), "strategy": document["strategy"],
               "metrics": document["metrics"], "cost": document["cost"], "warnings": document["warnings"], "settings": document["plan"]["settings"],
               "digest": document["digest"]}  # fmt: skip
        with (out / "accuracy.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        accuracy = document["metrics"]["test"]["accuracy"]
        print(
            f"{name}: {accuracy['value']:.4f} [{accuracy['low']:.4f}, {accuracy['high']:.4f}] {row['strategy']} {row['wall_s']} s  (bar {job.bar or '-'})",
            flush=True,
        )


if __name__ == "__main__":
    main()
