"""What a run leaves to its children: which parts of its data are kept, as ``settings.keep`` and ``settings.replay`` say.

keep=examples   the probe and the replayed examples themselves; for a head made of statistics, the features that it sums
keep=features   pooled features in place of examples: a child whose trunk stays frozen can be measured and grown by statistics
keep=nothing    no example and no feature; of a head made of statistics the sums alone
"""

from __future__ import annotations

from typing import Any

import numpy as np

from regraft import digest
from regraft.cache import Cache
from regraft.cache.pooled import pooled_features
from regraft.data.dataset import Split
from regraft.plan.settings import Settings
from regraft.surgery.statistics import StatisticsHead
from regraft.trunk.network import Network
from regraft.tune import summed
from regraft.tune.job import Job
from regraft.tune.kept import FEATURES, PROBE, REPLAY, Kept, examples, pooled, probed, thinned

Row = dict[str, Any]
SUMS = "sums"


def kept(job: Job, settings: Settings, network: Network, *, name: str, cache: Cache | None) -> list[tuple[Row, bytes]]:
    """Rows of the manifest's ``kept``, each with its content. Only tasks of one class for each example leave anything."""
    if not has_classes(job.dataset.splits["train"]):
        return []
    found: list[tuple[Row, bytes]] = []
    learned = [job.dataset.splits[split] for split in (("train", "valid") if settings.refit else ("train",)) if split in job.dataset.splits]
    if settings.keep != "nothing" and "test" in job.dataset.splits:
        found.append(kept_row(PROBE, name, _probe(job, settings, network, cache), job))
    if settings.keep == "examples" and settings.replay:
        rows = thinned(learned[0], lambda count: min(count, settings.replay))
        found.append(kept_row(REPLAY, name, examples(learned[0], job.dataset.classes, rows, kind=job.dataset.kind), job))
    if isinstance(network.head, StatisticsHead):
        found += statistics(job, settings, network, learned, name=name, cache=cache)
    return found


def statistics(
    job: Job, settings: Settings, network: Network, learned: list[Split], *, name: str, cache: Cache | None
) -> list[tuple[Row, bytes]]:
    """The features that the head sums, split by split; where nothing may be kept, their sums."""
    encoded = [job.encoded(split.name) for split in learned]
    parts = [pooled_features(network, one, cache=cache) for one in encoded]
    tables = [pooled(split, job.dataset.classes, np.arange(len(split)), part) for split, part in zip(learned, parts, strict=True)]
    if settings.keep != "nothing":
        return [kept_row(FEATURES, name, table, job) for table in tables]
    sums = summed.of_tables(network.head, tables, job.dataset.classes)
    data = summed.to_bytes(sums)
    return [
        (
            {"what": SUMS, "of": name, "asset": f"{SUMS}-{digest.of_bytes(data)[:8]}.safetensors", "num_examples": sum(map(len, tables))},
            data,
        )
    ]


def kept_row(what: str, of: str, table: Kept, job: Job) -> tuple[Row, bytes]:
    """``of``: the run that it comes from."""
    data = table.bytes()
    row = {
        "what": what,
        "of": of,
        "asset": f"{what}-{digest.of_bytes(data)[:8]}.parquet",
        "num_examples": len(table),
        "task": job.dataset.task,
    }
    return row, data


def has_classes(split: Split) -> bool:
    """Is the target of each example one class?"""
    return str(split.table.schema.field("target").type) == "int64"


def _probe(job: Job, settings: Settings, network: Network, cache: Cache | None) -> Kept:
    split = job.dataset.splits["test"]
    rows = probed(split, kind=job.dataset.kind)
    if settings.keep == "examples":
        return examples(split, job.dataset.classes, rows, kind=job.dataset.kind)
    return pooled(split, job.dataset.classes, rows, pooled_features(network, job.encoded("test"), cache=cache))
