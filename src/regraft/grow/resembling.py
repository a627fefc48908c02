"""Near duplicates of what an ancestor was tested on: a text with another full stop, a picture saved again. They are no more to be learned than the
examples themselves. Found where the ancestor kept its test examples; where it kept features or nothing, and among sounds, only equal ones are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from regraft import digest
from regraft.cache.arrays import Arrays, KeptArrays
from regraft.data import duplicates
from regraft.data.dataset import Split
from regraft.data.load import NEAR_IMAGES, NEAR_TEXTS
from regraft.data.look import THUMB, each, study
from regraft.grow.memory import Memory
from regraft.train.closed_form import keys_of
from regraft.tune.kept import Kept

FOLDER = ".looks"


def resembling(split: Split, memory: Memory) -> NDArray[np.bool_]:
    """(n,) which examples of ``split`` nearly repeat a test example that the family of ``memory`` kept."""
    kept = [table for _, table in memory.probes if table.has_examples]
    if not kept or not len(split):
        return np.zeros(len(split), bool)
    if memory.manifest["input"]["kind"] == "audio":
        return np.zeros(len(split), bool)
    if memory.manifest["input"]["kind"] == "image":
        return _images(split, kept, memory)
    column = split.table.column("input")
    texts = pa.chunked_array([*(chunk for table in kept for chunk in table.table.column("input").chunks), *column.chunks], column.type)
    groups = duplicates.of_texts(texts, limit=NEAR_TEXTS, jaccard=duplicates.SIDE_JACCARD)
    return _joined_to_the_first(groups.first, sum(map(len, kept)))


def _joined_to_the_first(first: NDArray[np.integer], count: int) -> NDArray[np.bool_]:
    """Of the examples after the first ``count``: those whose group begins among these."""
    found: NDArray[np.bool_] = first[count:] < count
    return found


def _images(split: Split, kept: list[Kept], memory: Memory) -> NDArray[np.bool_]:
    if len(split) > NEAR_IMAGES:
        return np.zeros(len(split), bool)
    views = [_kept_views(table, memory) for table in kept] + [_views(split.inputs)]
    keys = np.concatenate([*(table.keys for table in kept), keys_of(split.digests)])
    dhash, thumbs = (np.concatenate([view[name] for view in views]) for name in ("dhash", "thumbs"))
    return _joined_to_the_first(duplicates.of_images(keys, dhash, thumbs).first, sum(map(len, kept)))


def _kept_views(table: Kept, memory: Memory) -> Arrays:
    """Those of a probe are made once."""
    store = KeptArrays(Path(memory.store.cache_folder) / FOLDER)
    key = digest.of_digests(table.digests)
    found = store.get(key)
    if found is None:
        found = _views(table.split("test", sorted(set(table.labels)), memory.folder).inputs)
        store.put(key, found)
    return found


def _views(paths: list[str]) -> Arrays:
    """``dhash`` (n,) and ``thumbs`` (n, 16, 16) of image files; one that cannot be read resembles none."""
    looks = list(each(study, paths))
    rng = np.random.default_rng(len(paths))
    dhash = [look.dhash if look.thumb is not None else int(rng.integers(2**63)) for look in looks]
    thumbs = [look.thumb if look.thumb is not None else rng.integers(0, 256, (THUMB, THUMB), np.uint8) for look in looks]
    return {"dhash": np.array(dhash, np.uint64), "thumbs": np.stack(thumbs) if thumbs else np.zeros((0, THUMB, THUMB), np.uint8)}
