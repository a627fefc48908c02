"""What a run leaves to its children: which parts of its data are kept, as ``settings.keep`` and ``settings.replay`` say.

keep=examples   the probe and the replayed examples themselves; for a head made of statistics, the features that it sums
keep=features   pooled features in place of examples: a child whose trunk stays frozen can be measured and grown by statistics
keep=nothing    no example and no feature; of a head made of statistics the sums alone
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regraft import digest
from regraft.cache import Cache
from regraft.cache.key import prefix_digest
from regraft.cache.pooled import pooled_features
from regraft.data.dataset import Split
from regraft.data.encode import Encoded, encode
from regraft.evaluate.sums import Sums
from regraft.plan.settings import Settings
from regraft.surgery.statistics import StatisticsHead
from regraft.trunk.network import Network
from regraft.tune import summed
from regraft.tune.job import Job
from regraft.tune.kept import FEATURES, PROBE, REPLAY, Kept, examples, pooled, probed, replayed

Row = dict[str, Any]
SUMS = "sums"


def kept(
    job: Job, settings: Settings, network: Network, *, name: str, cache: Cache | None, splits: Mapping[str, Split] | None = None
) -> list[tuple[Row, bytes]]:
    """Rows of the manifest's ``kept``, each with its content. Only tasks of one class for each example leave anything.

    ``splits``: those of the job, or the part of them that is new.
    """
    own = job.dataset.splits if splits is None else splits
    if not own or not has_classes(first := next(iter(own.values()))) or first.parts == "row":  # rows of a table do not grow
        return []
    found: list[tuple[Row, bytes]] = []
    learned = [own[split] for split in (("train", "valid") if settings.refit else ("train",)) if split in own]
    if settings.keep != "nothing" and "test" in own:
        row, data = kept_row(PROBE, name, _probe(job, settings, network, own["test"], cache), job)
        found.append(({**row, "trunk": trunk_digest(network)} if settings.keep == "features" else row, data))
    if settings.keep == "examples" and settings.replay and "train" in own:
        rows = replayed(own["train"], kind=job.dataset.kind, most=settings.replay)
        found.append(kept_row(REPLAY, name, examples(own["train"], job.dataset.classes, rows, kind=job.dataset.kind), job))
    if isinstance(network.head, StatisticsHead) and learned:
        found += statistics(job, settings, network, learned, name=name, cache=cache)
    return found


def statistics(
    job: Job, settings: Settings, network: Network, learned: Sequence[Split], *, name: str, cache: Cache | None
) -> list[tuple[Row, bytes]]:
    """The features that the head sums, split by split; where nothing may be kept, their sums."""
    tables = [summable(job, network, split, cache=cache) for split in learned]
    if settings.keep != "nothing":
        trunk = trunk_digest(network)
        rows = [kept_row(FEATURES, name, table, job) for table in tables]
        return [({**row, "trunk": trunk}, data) for row, data in rows]
    assert isinstance(network.head, StatisticsHead)
    return [sums_row(summed.of_tables(network.head, tables, job.dataset.classes), name, job)]


def trunk_digest(network: Network) -> str:
    """Of all that pooled features depend on beside the example."""
    return prefix_digest(network, len(network.trunk.stages))


def summable(job: Job, network: Network, split: Split, *, cache: Cache | None) -> Kept:
    """The pooled features of ``split``."""
    features = pooled_features(network, encoded(job, split), cache=cache)
    return pooled(split, job.dataset.classes, np.arange(len(split)), features)


def encoded(job: Job, split: Split) -> Encoded:
    """``split`` as the job's model reads it, whether it is one of the job's own or not."""
    if job.dataset.splits.get(split.name) is split:
        return job.encoded(split.name)
    return encode(split, job.trunk.input, job.trunk.tokenizer, max_length=int(job.request.settings.get("max_length", 0)))


def kept_row(what: str, of: str, table: Kept, job: Job) -> tuple[Row, bytes]:
    """``of``: the run that it comes from."""
    data = table.written()
    return _row(what, of, len(table), job, f"{what}-{digest.of_bytes(data)[:8]}.parquet"), data


def sums_row(sums: Sums, of: str, job: Job) -> tuple[Row, bytes]:
    data = summed.to_bytes(sums)
    return _row(SUMS, of, int(sums.counts.sum()), job, f"{SUMS}-{digest.of_bytes(data)[:8]}.safetensors"), data


def has_classes(split: Split) -> bool:
    """Is the target of each example one class?"""
    return str(split.table.schema.field("target").type) == "int64"


def _row(what: str, of: str, count: int, job: Job, asset: str) -> Row:
    return {"what": what, "of": of, "asset": asset, "num_examples": count, "task": job.dataset.task}


def _probe(job: Job, settings: Settings, network: Network, split: Split, cache: Cache | None) -> Kept:
    rows = probed(split, kind=job.dataset.kind)
    if settings.keep == "examples":
        return examples(split, job.dataset.classes, rows, kind=job.dataset.kind)
    return pooled(split, job.dataset.classes, rows, pooled_features(network, encoded(job, split), cache=cache))
