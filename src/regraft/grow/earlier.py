"""A parent whose head is no sum can begin one, from the examples it learned: where they are still reachable, whole or in part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from regraft.cache import Cache
from regraft.data.dataset import Dataset, Split
from regraft.data.load import load
from regraft.errors import RegraftError, RequestError
from regraft.grow.memory import Memory
from regraft.grow.news import joined
from regraft.grow.parent import GrownJob
from regraft.train.closed_form import keys_of
from regraft.tune import keeping
from regraft.tune.kept import Kept
from regraft.tune.weigh import CACHE_BYTES


def features(memory: Memory, job: GrownJob) -> tuple[list[Kept], tuple[str, ...]]:
    """Features of what the parent learned, in its own trunk, and a sentence that says where they come from; nothing where it has sums.

    Raises ``RequestError`` where neither its data nor any kept example is left.
    """
    if memory.features or memory.sums is not None:
        return [], ()
    network = job.network(dropout=0.0, seed=0)
    cache = Cache(memory.store.cache_folder, CACHE_BYTES)
    dataset = _original(memory)
    if dataset is not None:
        table = keeping.summable(job, network, _learned(dataset, memory), cache=cache)
        return [table], (
            f"the head is begun from the {len(table):,} training examples of {memory.record.name}, found at {dataset.reference}",
        )
    tables = [keeping.summable(job, network, kept.split("replay", memory.classes, memory.folder), cache=cache) for kept in memory.replay]
    if not tables:
        raise RequestError(f"grow {memory.record.name} by statistics", "its head is no sum, its data has changed or gone, and it kept no example",
                           "--way replay, or give data that holds examples of the known classes too")  # fmt: skip
    count = sum(map(len, tables))
    return tables, (f"the head is begun from the {count:,} examples that were kept: the data of {memory.record.name} has changed or gone",)


def _original(memory: Memory) -> Dataset | None:
    """The parent's data set, if it is where it was and as it was."""
    data, settings = memory.manifest["data"], memory.manifest["plan"]["settings"]
    if not Path(data["reference"]).exists():
        return None
    try:
        found = load(data["reference"], task=data["task"], input=data["input"], target=data["target"], allow_rejected=True,
                     valid_fraction=settings["valid_fraction"], test_fraction=settings["test_fraction"])  # fmt: skip
    except RegraftError:  # it is something else by now
        return None
    return found if found.fingerprint == data["fingerprint"] else None


def _learned(dataset: Dataset, memory: Memory) -> Split:
    """Its examples that the parent learned, over the parent's classes; those that it watched are among them where it was fitted again on both."""
    names = ("train", "valid") if memory.manifest["plan"]["settings"].get("refit") else ("train",)
    seen = np.fromiter(memory.seen, np.uint64)
    parts = [dataset.splits[name] for name in names if name in dataset.splits]
    return joined("train", [(part, np.isin(keys_of(part.digests), seen)) for part in parts])
