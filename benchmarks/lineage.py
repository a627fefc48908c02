"""Twenty generations of one MiniLM in one store: how many bytes, against one model; how long a rollback takes.

    python benchmarks/lineage.py

One short run makes the first generation; the others are its network with numbers perturbed where such an update would move them, added by the
same writer, with the answers to as many test examples as banking77 has: heads, LoRA of rank 8 over all linear layers, and one deep update. The command line
is timed as a whole process.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas
import torch
from harness import DATA

from regraft import lineage
from regraft.evaluate import stored
from regraft.serve import rebuild
from regraft.surgery import edits
from regraft.surgery.specs import Lora
from regraft.trunk.network import Network
from regraft.tune.conduct import tune
from regraft.tune.derive import derive, inherited

NUM_TEST = 3080
DEEP = {"top 3 of 6 blocks": 3, "all 6 blocks": 6}


def small(folder: Path) -> str:
    rows = pandas.read_csv(DATA / "banking77" / "train.csv").groupby("label").head(6)
    rows.to_csv(folder / "train.csv", index=False)
    return str(folder / "train.csv")


@torch.no_grad()
def moved(network: Network, stages: list[int], generator: torch.Generator) -> None:
    for index in [*stages, len(network.trunk.stages)]:
        for _, parameter in network.stage_parameters(index):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 1e-3)


def add(store: lineage.Store, kind: str, number: int, blocks: int) -> lineage.Generation:
    """The next generation of that kind: a child of the one before, made from the first one's network."""
    rebuilt, generator = rebuild.network(store, "first"), torch.Generator().manual_seed(number)
    network, stages = rebuilt.network, len(rebuilt.network.trunk.stages)
    records = [edits.apply(network, index, Lora()) for index in range(1, stages)] if kind == "lora" else []
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 1e-2)
    moved(network, list(range(stages - blocks, stages)) if kind == "deep" else [], generator)
    scores = np.random.default_rng(number).normal(size=(NUM_TEST, len(rebuilt.classes))).astype(np.float32)
    digests = [f"{row:064x}" for row in range(NUM_TEST)]
    assets = {**store.assets(store.bases()[rebuilt.manifest["base"]]), **stored.packed(scores, digests, np.zeros(NUM_TEST, np.int64))}
    copied = {key: rebuilt.manifest[key] for key in ("strategy", "plan", "data", "classes", "metrics", "cost", "warnings")}
    manifest = {**inherited(rebuilt.manifest), **copied, "edits": [record.json() for record in records]}
    return derive(store, manifest, network, name="it", assets=assets, parents=[store.get("it").digest])


def size(folder: Path) -> int:
    parts = ("objects", "generations", "bases", "names", "tags")
    return sum(path.stat().st_size for part in parts for path in (folder / part).rglob("*") if path.is_file())


def timed(store: Path, *words: str) -> str:
    """Wall time of a whole process, and the processor time in it, which a busy machine does not stretch."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "regraft.cli", *words, "--store", str(store)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{' '.join(words)} {time.perf_counter() - began:.2f} s (processor {spent:.2f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--only", default="", help="of the deep updates, those with this in their title")
    args = parser.parse_args()
    for title, blocks in [(t, b) for t, b in DEEP.items() if args.only in t]:
        with tempfile.TemporaryDirectory() as folder:
            where = Path(folder) / "store"
            store = lineage.Store(where)
            tune(small(Path(folder)), model="bundled:minilm", strategy="linear_probe", name="it", store=where, test_fraction=0.1)
            first = store.tag("it", "first")
            one = store.bases()[first.base or ""].manifest["tensors"]["total_bytes"]
            count = args.generations
            kinds = ["deep" if n == count // 2 else "lora" if n % 2 else "head" for n in range(1, count)]
            spent = [add(store, kind, number, blocks).stored_bytes for number, kind in enumerate(kinds)]
            each = {kind: sum(s for s, k in zip(spent, kinds, strict=True) if k == kind) for kind in ("head", "lora", "deep")}
            began = time.perf_counter()
            store.rollback("it")
            rollback = time.perf_counter() - began
            checked = store.verify_lineage("it~0")
            print(f"deep update of {title}: {count} generations ({kinds.count('head') + 1} heads, {kinds.count('lora')} LoRA, 1 deep), one model "
                  f"{one / 1e6:.1f} MB, store {size(where) / 1e6:.1f} MB = {size(where) / one:.2f}x; by kind "
                  + ", ".join(f"{kind} {total / 1e6:.1f} MB" for kind, total in each.items())
                  + f"; rollback {rollback * 1e3:.1f} ms in the process; as commands "
                  + ", ".join(timed(where, *words) for words in (("rollback", "it"), ("log",), ("gc",), ("show", "it", "--verify")))
                  + f" over {checked['bytes'] / 1e6:.0f} MB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
