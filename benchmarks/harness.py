"""Side by side: several commands in turn, A B C A B C, whole-process wall and processor time and peak memory, the accuracy that each prints.

Machines drift, so absolute times are never compared between runs: every figure that is quoted is a ratio within one call. Each
contestant is a command whose last line of output is a JSON object with at least ``accuracy``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = Path(os.environ.get("REGRAFT_DATA", HERE.parents[1] / "shared" / "data"))
OUT = HERE / "out"


@dataclass(frozen=True)
class Run:
    contestant: str
    wall_s: float
    processor_s: float
    peak_bytes: int
    facts: dict[str, Any]


def run(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """One run of one contestant, as a whole process; a failure ends the benchmark with its output."""
    began, spent = time.perf_counter(), processor_s()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment}, text=True) as process:
        out, err = process.communicate()
        wall = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{name} failed ({process.returncode}): {' '.join(command)}\n{err[-4000:]}")
    facts = json.loads(out.strip().splitlines()[-1])
    return Run(name, wall, processor_s() - spent, int(facts.pop("peak_bytes", 0)), facts)


def processor_s() -> float:
    """Of all children so far that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(title: str, contestants: Mapping[str, Sequence[str]], *, repeats: int, reference: str, note: str = "") -> list[Run]:
    """Run all contestants ``repeats`` times, turn by turn, the order reversed every other turn; print and store the table."""
    runs = []
    for turn in range(repeats):
        names = list(contestants) if turn % 2 == 0 else list(reversed(contestants))
        for name in names:
            runs.append(run(name, contestants[name], {}))
            print(f"  turn {turn + 1} {name}: {runs[-1].wall_s:.1f} s {runs[-1].facts}", file=sys.stderr, flush=True)
    print(table(title, runs, reference, note), flush=True)
    OUT.mkdir(exist_ok=True)
    record = {"title": title, "when": time.strftime("%Y-%m-%d"), "machine": machine(), "note": note, "runs": [asdict(r) for r in runs]}
    (OUT / f"{title.split(':')[0].replace(' ', '-')}.json").write_text(json.dumps(record, indent=1))
    return runs


def table(title: str, runs: Sequence[Run], reference: str, note: str) -> str:
    """Markdown: median and range of wall time, its ratio to the reference turn by turn, processor time, peak memory, accuracy."""
    by_name: dict[str, list[Run]] = {}
    for one in runs:
        by_name.setdefault(one.contestant, []).append(one)
    base = [one.wall_s for one in by_name[reference]]
    lines = [f"### {title}", note, "", f"| who | wall s, median (range) | ÷ {reference} | processor s | peak MB | accuracy |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for name, own in by_name.items():
        walls = [one.wall_s for one in own]
        ratio = statistics.median(wall / other for wall, other in zip(walls, base, strict=True))
        accuracy = statistics.median(one.facts.get("accuracy", float("nan")) for one in own)
        peak = max(one.peak_bytes for one in own) / 1e6
        spent = statistics.median(one.processor_s for one in own)
        lines.append(f"| {name} | {statistics.median(walls):.1f} ({min(walls):.1f}-{max(walls):.1f}) | {ratio:.2f} | {spent:.1f} | {peak:.0f} | "
                     f"{accuracy:.4f} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    packages = ("torch", "torchvision", "timm", "transformers", "peft", "setfit", "fastai", "autogluon.multimodal")
    return {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "python": platform.python_version(),
            "versions": {name: _version(name) for name in packages}}  # fmt: skip


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def ideal(share: float, epochs: float) -> float:
    """What computing a frozen prefix once can give by the count of operations, where it has ``share`` of the forward work: a forward pass is 1, a backward pass 2."""
    return epochs * (1 + 2 * (1 - share)) / (share + epochs * 3 * (1 - share))


def share_below_top(model: str, count: int, input_size: int = 0) -> float:
    """Of the forward work of ``model``, what lies below its last ``count`` stages."""
    from regraft.trunk.load import load
    from regraft.trunk.measure import measure

    operations = [stage.macs for stage in measure(load(model, pretrained=False, input_size=input_size)).stages]
    return sum(operations[: len(operations) - count]) / sum(operations)


def job_accuracy(job: Any, network: Any) -> float:
    """Share of the test split of a ``regraft.tune.job.Job`` that ``network`` gets right."""
    from regraft.tune import evidence

    test = job.encoded("test")
    return float((evidence.logits(network, test).argmax(1) == test.targets).mean())


def arguments(description: str | None, repeats: int = 3) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--rows", type=int, default=0, help="use only so many training rows (a quick look, not a result)")
    return parser.parse_args()
