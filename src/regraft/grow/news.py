"""What is new in some data for a model that exists, and the side on which each example falls.

An example keeps the side on which an ancestor had it: what anyone was tested on, and what nearly repeats it, is never learned, and what anyone
learned is no test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from regraft.data import arrow
from regraft.data.dataset import Dataset, Split, fingerprint
from regraft.errors import DataError, RequestError
from regraft.grow.memory import Memory
from regraft.grow.resembling import resembling
from regraft.spec import SPLITS
from regraft.train.closed_form import keys_of

SHOWN = 6


@dataclass(frozen=True, slots=True)
class News:
    """``new_classes``: in the order of the new map; ``counts``: new training examples of every class that has any; ``said``: all of it in words.

    ``dataset``: the new data over the union of classes, each example on its rightful side; training examples that were learned before are
    left out.
    """

    dataset: Dataset
    new_classes: tuple[str, ...]
    counts: Mapping[str, int]
    said: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``classes`` where there are new ones, else ``examples``."""
        return "classes" if self.new_classes else "examples"


def of(dataset: Dataset, memory: Memory) -> News:
    """``dataset``: loaded with the classes of ``memory`` known. Raises ``RequestError`` where there is nothing to learn."""
    new_classes = dataset.classes[len(memory.classes) :]
    sided, said = _sided(dataset, memory)
    train = sided.get("train")
    if train is None:
        raise RequestError(f"grow {memory.record.name} with {dataset.reference}", f"nothing is new: {'; '.join(said) or 'no training example'}",
                           f"regraft evaluate {memory.record.name} {dataset.reference}, to see how it does on these")  # fmt: skip
    counted = np.bincount(train.targets, minlength=len(dataset.classes))
    counts = {name: int(count) for name, count in zip(dataset.classes, counted, strict=True) if count}
    missing = [name for name in new_classes if name not in counts]
    if missing:
        raise DataError(f"learn {', '.join(map(repr, missing[:SHOWN]))}", "no example of it may be learned: all were tested on before",
                        "more examples of it")  # fmt: skip
    made = replace(dataset, splits=sided, fingerprint=fingerprint(dataset.task, dataset.classes, sided))
    return News(made, new_classes, counts, (*_told(memory, new_classes, counts), *said))


def _sided(dataset: Dataset, memory: Memory) -> tuple[dict[str, Split], list[str]]:
    rows: dict[str, list[tuple[Split, np.ndarray]]] = {name: [] for name in SPLITS}
    moved = dict.fromkeys(("tested", "near", "learned", "again"), 0)
    for name, split in dataset.splits.items():
        keys = keys_of(split.digests)
        tested = np.isin(keys, _array(memory.tested))
        seen = np.isin(keys, _array(memory.seen)) & ~tested
        if name == "test":
            rows["test"].append((split, ~seen))
            moved["learned"] += int(seen.sum())
            continue
        near = resembling(split, memory) & ~tested & ~seen
        rows["test"].append((split, tested | near))
        rows[name].append((split, ~tested & ~near & ~seen))
        moved["tested"] += int(tested.sum())
        moved["near"] += int(near.sum())
        moved["again"] += int(seen.sum())
    said = [
        sentence
        for key, sentence in (
            ("tested", "{:,} examples to learn from are test examples of an ancestor: they stay that"),
            ("near", "{:,} examples to learn from nearly repeat a test example of an ancestor: they are measured on, not learned"),
            ("learned", "{:,} test examples were learned by an ancestor: they are no test and are left out"),
            ("again", "{:,} examples were learned before and are not learned again"),
        )
        if moved[key]
        for sentence in [sentence.format(moved[key])]
    ]
    return {name: split for name, parts in rows.items() if len(split := joined(name, parts))}, said


def joined(name: str, parts: list[tuple[Split, np.ndarray]]) -> Split:
    """The chosen rows of several splits, one after the other."""
    tables = [split.table.filter(arrow.array(np.asarray(chosen, bool))) for split, chosen in parts]
    if not tables:
        return Split(name, pa.table({"input": []}))
    return Split(name, pa.concat_tables(tables), parts[0][0].parts)


def _told(memory: Memory, new_classes: tuple[str, ...], counts: Mapping[str, int]) -> list[str]:
    known = {name: count for name, count in counts.items() if name not in new_classes}
    said = []
    if new_classes:
        shown = ", ".join(new_classes[:SHOWN]) + (f" and {len(new_classes) - SHOWN} more" if len(new_classes) > SHOWN else "")
        said.append(
            f"new: {len(new_classes)} classes beside {len(memory.classes)} ({shown}), {sum(counts[name] for name in new_classes):,} examples to learn from"
        )
    if known:
        said.append(f"{sum(known.values()):,} new examples of {len(known)} known classes")
    return said


def _array(keys: frozenset[int]) -> np.ndarray:
    return np.fromiter(keys, np.uint64, len(keys))
