"""Growth by statistics on clinc150: five steps of 30 classes, one class from 20 examples, classes taken away, a harmful step refused.

    python benchmarks/growth.py DATA [--store FOLDER]          DATA: the folder of clinc150 (train.csv, val.csv, test.csv)

Prints one JSON row for each fact. Beside the steps stand the same head made at once and a probe solved at once.
A store that holds the steps already is not grown again.
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
    if "grown" not in lineage_of(store).names():
        grown(folders, store, model)
        at_once(write(scratch / "all", rows, set(labels)), store, model)
    one_class(scratch, rows, parts[-1][0], store)
    removed(folders, store)
    harmful(scratch, rows, labels, store, folders[0], model)


def lineage_of(store: Path) -> Any:
    import regraft as rg

    return rg.Store(store)


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
        generation, seconds = timed(
            lambda strategy=strategy: rg.tune(folder, model=model, strategy=strategy, store=store, name=f"once-{strategy}")
        )
        say("at once", strategy=strategy, seconds=seconds, accuracy=generation.metrics["test"]["accuracy"])


def one_class(scratch: Path, rows: dict[str, Any], new: str, store: Path) -> None:
    """The generation before the last step, and one class of that step from ``FEW`` examples in one file."""
    import regraft as rg

    file = table(scratch / "few.csv", [row for row in rows["train"] if row[1] == new][:FEW])
    generation, seconds = timed(lambda: rg.grow("grown~1", file, store=store, name="few"))
    found = generation.evaluate(str(table(scratch / "few-test.csv", [row for row in rows["test"] if row[1] == new])))
    manifest = generation.record.manifest
    say("one class", examples=FEW, known=len(generation.classes) - 1, seconds=seconds, gate=manifest["gate"]["passed"],
        new_class=found["metrics"]["accuracy"], retained=[probe["difference"]["value"] for probe in manifest["retention"]],
        stored_bytes=generation.record.stored_bytes)  # fmt: skip


def removed(folders: list[Path], store: Path) -> None:
    """The last step's classes taken away again, against the generation before that step; then examples, against the rest solved anew."""
    import regraft as rg
    from regraft.evaluate import sums as additive
    from regraft.grow.memory import Memory
    from regraft.tune import summed

    last, before = rg.open("grown", store=store), rg.open("grown~1", store=store)
    left, seconds = timed(lambda: rg.grow(last, remove_class=list(last.classes[len(before.classes) :]), name="removed"))
    say(
        "classes removed",
        classes=len(last.classes) - len(left.classes),
        seconds=seconds,
        largest_weight_difference=difference(left, before),
    )
    gone = table(folders[0].parent / "gone.csv", read(folders[1] / "train.csv")[::7])
    left, seconds = timed(lambda: rg.grow(last, remove_examples=gone, name="without"))
    head = left.predictor.network.head
    tables = [kept for _, kept in Memory(left.store, left.record).features]
    anew = additive.solve(summed.of_tables(head, tables, left.classes))
    say("examples removed", examples=len(read(gone)), seconds=seconds,
        largest_weight_difference=float(abs(anew.weights - head.linear.weight.detach().numpy()).max()))  # fmt: skip


def difference(one: Any, other: Any) -> float:
    weights = [each.predictor.network.head.linear.weight for each in (one, other)]
    return float((weights[0] - weights[1]).abs().max())


def harmful(scratch: Path, rows: dict[str, Any], labels: list[str], store: Path, first: Path, model: str) -> None:
    """Known examples under wrong names, by gradient and without protection: refused, and the store as it was."""
    import regraft as rg
    from regraft.errors import GateRefused

    wrong = {name: labels[(place + 1) % 30] for place, name in enumerate(labels[:30])}
    file = table(scratch / "wrong.csv", [(f"{text} please", wrong[label]) for text, label in rows["val"] if label in wrong])
    parent = rg.tune(first, strategy="linear_probe", model=model, store=store, name="harmed", refit=False)
    lineage = lineage_of(store)
    before = (lineage.names(), lineage.tags(), sorted(lineage.digests()))
    try:
        _, seconds = timed(lambda: rg.grow(parent, file, way="replay", replay=0, objective="", epochs=20.0, lr=1e-2))
    except GateRefused as refused:
        after = (lineage.names(), lineage.tags(), sorted(lineage.digests()))
        say("harmful", refused=True, exit_code=refused.exit_code, store_unchanged=before == after, said=refused.found[:300])
    else:
        say("harmful", refused=False, seconds=seconds)


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


def timed(work: Any) -> tuple[Any, dict[str, float]]:
    began, busy = time.perf_counter(), time.process_time()
    made = work()
    return made, {"wall": round(time.perf_counter() - began, 2), "processor": round(time.process_time() - busy, 2)}


def say(what: str, **facts: Any) -> None:
    print(json.dumps({"what": what, **facts}), flush=True)


if __name__ == "__main__":
    main()
