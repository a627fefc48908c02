"""Growth by statistics on clinc150: five steps of 30 classes, one class from 20 examples, a class taken away, a harmful step refused.

    python benchmarks/growth.py DATA [--store FOLDER]          DATA: the folder of clinc150 (train.csv, val.csv, test.csv)

Prints one JSON row for each fact. Beside the steps stand the same head made at once and, for what the steps save, how long that took.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS = 5
FEW = 20
SPLITS = ("train", "val", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--model", default="bundled:minilm")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(asked.data, asked.store or Path(scratch) / "store", Path(scratch), asked.model)


def measure(data: Path, store: Path, scratch: Path, model: str) -> None:
    rows = {split: read(data / f"{split}.csv") for split in SPLITS}
    labels = sorted({label for _, label in rows["train"]})
    size = len(labels) // STEPS
    parts = [labels[start : start + size] for start in range(0, len(labels), size)]
    folders = [write(scratch / f"step{number}", rows, set(part)) for number, part in enumerate(parts, 1)]
    grown(folders, store, model)
    at_once(write(scratch / "all", rows, set(labels)), store, model)
    one_class(rows, labels, scratch, store, model)
    removed(scratch, rows, labels, store, model)
    harmful(scratch, rows, labels, store)


def grown(folders: list[Path], store: Path, model: str) -> None:
    """Step after step; forgetting is what the first step's classes lost."""
    import regraft as rg

    generation, seconds = timed(lambda: rg.tune(folders[0], model=model, strategy="statistics", store=store, name="grown"))
    say("step", number=1, seconds=seconds, classes=len(generation.classes), accuracy=generation.metrics["test"]["accuracy"])
    first = generation.metrics["test"]["accuracy"]["value"]
    for number, folder in enumerate(folders[1:], 2):
        generation, seconds = timed(lambda folder=folder: rg.grow("grown", folder, store=store))
        manifest = generation.record.manifest
        last = manifest["retention"][0]["after"]["value"]
        say("step", number=number, seconds=seconds, classes=len(generation.classes), accuracy=generation.metrics["test"]["accuracy"],
            gate=manifest["gate"]["passed"], first_step_before=first, first_step_now=last, stored_bytes=generation.record.stored_bytes)  # fmt: skip


def at_once(folder: Path, store: Path, model: str) -> None:
    """The control: all classes together, the same head; and the probe that a person would solve anew."""
    import regraft as rg

    for strategy in ("statistics", "linear_probe"):
        generation, seconds = timed(lambda strategy=strategy: rg.tune(folder, model=model, strategy=strategy, store=store, name=f"once-{strategy}"))
        say("at once", strategy=strategy, seconds=seconds, accuracy=generation.metrics["test"]["accuracy"])


def one_class(rows: dict[str, Any], labels: list[str], scratch: Path, store: Path, model: str) -> None:
    """All classes but the last, then the last one from ``FEW`` examples in one file."""
    import regraft as rg

    folder = write(scratch / "but-one", rows, set(labels[:-1]))
    rg.tune(folder, model=model, strategy="statistics", store=store, name="few")
    few = [row for row in rows["train"] if row[1] == labels[-1]][:FEW]
    file = table(scratch / "few.csv", few)
    generation, seconds = timed(lambda: rg.grow("few", file, store=store))
    test = table(scratch / "few-test.csv", [row for row in rows["test"] if row[1] == labels[-1]])
    found = generation.evaluate(str(test))
    say("one class", examples=FEW, seconds=seconds, gate=generation.record.manifest["gate"]["passed"],
        retained=generation.record.manifest["retention"][0]["difference"], new_class=found["metrics"]["accuracy"])  # fmt: skip


def removed(scratch: Path, rows: dict[str, Any], labels: list[str], store: Path, model: str) -> None:
    """Two steps and the second taken away again, against the first step alone."""
    import regraft as rg

    first = write(scratch / "r1", rows, set(labels[:30]))
    second = write(scratch / "r2", rows, set(labels[30:40]))
    never = rg.tune(first, model=model, strategy="statistics", store=store, name="removed")
    rg.grow("removed", second, store=store)
    left, seconds = timed(lambda: rg.grow("removed", store=store, remove_class=labels[30:40]))
    weights = [one.predictor.network.head.linear.weight for one in (never, left)]
    texts = [text for text, _ in rows["test"][:500]]
    answers = [one.predict(texts) for one in (never, left)]
    say("classes removed", classes=10, seconds=seconds, largest_weight_difference=float((weights[0] - weights[1]).abs().max()),
        largest_probability_difference=max(abs(a["probability"] - b["probability"]) for a, b in zip(*answers, strict=True)))  # fmt: skip
    gone = table(scratch / "gone.csv", [row for row in rows["train"] if row[1] in labels[:30]][::7])
    stays = {**rows, "train": [row for row in rows["train"] if row not in set(map(tuple, read(gone)))]}
    control = rg.tune(write(scratch / "r3", stays, set(labels[:30])), model=model, strategy="statistics", store=store, name="control")
    left, seconds = timed(lambda: rg.grow(never.digest, store=store, remove_examples=gone, name="without"))
    weights = [one.predictor.network.head.linear.weight for one in (control, left)]
    say("examples removed", examples=len(read(gone)), seconds=seconds, largest_weight_difference=float((weights[0] - weights[1]).abs().max()))


def harmful(scratch: Path, rows: dict[str, Any], labels: list[str], store: Path) -> None:
    """Old classes under wrong names, by gradient and without protection: refused, and the store as it was."""
    import regraft as rg
    from regraft.errors import GateRefused

    wrong = {name: labels[(place + 1) % 30] for place, name in enumerate(labels[:30])}
    held = [row for row in rows["val"] if row[1] in wrong]
    file = table(scratch / "wrong.csv", [(text, wrong[label]) for text, label in held])
    lineage = rg.Store(store)
    before = (lineage.names(), lineage.tags(), sorted(lineage.digests()))
    parent = rg.tune(scratch / "r1", strategy="linear_probe", model="bundled:minilm", store=store, name="harmed", refit=False)
    before = (lineage.names(), lineage.tags(), sorted(lineage.digests()))
    started = time.perf_counter()
    try:
        rg.grow(parent, file, way="replay", replay=0, objective="", epochs=20.0, lr=1e-2)
    except GateRefused as refused:
        after = (lineage.names(), lineage.tags(), sorted(lineage.digests()))
        say("harmful", refused=True, exit_code=refused.exit_code, seconds=time.perf_counter() - started, store_unchanged=before == after,
            said=refused.found[:300])  # fmt: skip
    else:
        say("harmful", refused=False)


def read(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def write(folder: Path, rows: dict[str, Any], chosen: set[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        table(folder / f"{split}.csv", [row for row in rows[split] if row[1] in chosen])
    return folder


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "label"), *rows])
    return path


def timed(work: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), round(time.perf_counter() - began, 2)


def say(what: str, **facts: Any) -> None:
    print(json.dumps({"what": what, **facts}), flush=True)


if __name__ == "__main__":
    main()
