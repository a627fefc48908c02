"""Forgetting: classes or examples taken off a head made of statistics, as if they had never been there; a class off a linear head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from regraft.cache import Cache
from regraft.data.dataset import Dataset, Split, fingerprint
from regraft.data.load import load_known
from regraft.errors import RequestError, suggest
from regraft.grow.asked import Growth, Hooks
from regraft.grow.by_statistics import Summing
from regraft.grow.execution import Growing
from regraft.grow.learning import job_of, probes_of, summing_plan
from regraft.grow.memory import Memory
from regraft.grow.news import joined
from regraft.grow.parent import statistics_of
from regraft.grow.ways import spec_text
from regraft.plan.strategy import parse
from regraft.spec import FORMS
from regraft.train.closed_form import keys_of
from regraft.tune import keeping
from regraft.tune.kept import Kept
from regraft.tune.weigh import CACHE_BYTES


def forgetting(growth: Growth, memory: Memory, hooks: Hooks) -> Growing:
    """The execution that takes off what ``growth`` names. Raises ``RequestError`` where that cannot be done exactly."""
    asked = f"forget parts of {memory.record.name}"
    if statistics_of(memory.record) is None:
        raise RequestError(asked, f"what {memory.manifest['strategy']} learned is spread over its weights, so that nothing can be taken out exactly",
                           "tune again without it; heads made of statistics can forget: --strategy statistics")  # fmt: skip
    splits = _named(growth, memory)
    lost = frozenset(int(key) for split in splits for key in keys_of(split.digests))
    if splits and not lost & memory.seen:
        raise RequestError(f"forget the examples of {growth.remove_examples}", f"{memory.record.name} learned none of them",
                           "the file that it was trained on")  # fmt: skip
    classes = left(memory.classes, (*growth.remove_classes, *_emptied(memory, splits, lost)))
    dataset = _dataset(memory, classes)
    job = job_of(growth, memory, hooks, dataset=dataset)
    job.spec = statistics_of(memory.record)
    probes = [
        (row, split.take(np.flatnonzero(~np.isin(keys_of(split.digests), np.fromiter(lost, np.uint64)))))
        for row, split in probes_of(memory, classes)
    ]
    test = [(split, np.ones(len(split), bool)) for _, split in probes]
    job.dataset = replace(dataset, splits={"test": joined("test", test)} if test else {})
    return Summing(
        job=job, plan=summing_plan(job, parse(spec_text(memory)), (_said(growth, memory, lost),)), store=memory.store, name=growth.request.run_name,
        observer=hooks.observer, command=hooks.command, parent=memory.record.digest, memory=memory, gate=growth.gate, probes=probes,
        source=memory.record.name, lost_keys=lost, taken=_taken(growth, memory, job, splits),
    )  # fmt: skip


def left(classes: tuple[str, ...], gone: tuple[str, ...]) -> tuple[str, ...]:
    """``classes`` without those that go."""
    for name in gone:
        if name not in classes:
            raise RequestError(f"remove class {name!r}", "the model has no such class", suggest(name, classes))
    staying = tuple(name for name in classes if name not in gone)
    if len(staying) < 2:
        raise RequestError(f"remove {len(gone)} of {len(classes)} classes", f"{len(staying)} would be left", "leave at least two")
    return staying


def _emptied(memory: Memory, splits: list[Split], lost: frozenset[int]) -> list[str]:
    """Classes of which no example is left when those of ``splits`` are gone: they were never seen either."""
    if not splits:
        return []
    gone, seen = (np.fromiter(keys, np.uint64) for keys in (lost, memory.seen))
    if memory.sums is None:
        staying = {label for _, table in memory.features for label in table.where(~np.isin(table.keys, gone)).labels}
        return [name for name in memory.classes if name not in staying]
    targets = np.concatenate([split.targets[np.isin(keys_of(split.digests), seen)] for split in splits])
    counts = memory.sums.counts - np.bincount(targets, minlength=len(memory.classes))
    return [name for name, count in zip(memory.classes, counts, strict=True) if count <= 0]


def _dataset(memory: Memory, classes: tuple[str, ...]) -> Dataset:
    """Over the classes that stay, with nothing to learn."""
    task = memory.manifest["task"]
    reference = memory.manifest["data"]["reference"]
    return Dataset(reference=reference, task=task, form=FORMS[task], classes=classes, splits={}, fingerprint=fingerprint(task, classes, {}))


def _named(growth: Growth, memory: Memory) -> list[Split]:
    """The examples to forget, as the file names them; rows of other classes are none of the model's."""
    if growth.remove_examples is None:
        return []
    request = growth.request
    found = load_known(
        growth.remove_examples, memory.classes, task=request.task, input=request.input, target=request.target, allow_rejected=True
    )
    return list(found.splits.values())


def _taken(growth: Growth, memory: Memory, job: Any, splits: list[Split]) -> list[Kept]:
    """Features of what goes, where none were kept: then the examples have to be given."""
    if memory.sums is None:
        return []
    if growth.remove_classes:
        raise RequestError(f"remove {', '.join(growth.remove_classes)} from {memory.record.name}", "it kept sums alone, which cannot be told apart by class",
                           "--remove-examples FILE, with the examples of these classes")  # fmt: skip
    network, cache = job.network(dropout=0.0, seed=0), Cache(memory.store.cache_folder, CACHE_BYTES)
    whole = replace(job.dataset, classes=memory.classes)
    named = replace(job, dataset=whole)
    seen = np.fromiter(memory.seen, np.uint64)
    chosen = [split.take(np.flatnonzero(np.isin(keys_of(split.digests), seen))) for split in splits]
    return [keeping.summable(named, network, split, cache=cache) for split in chosen if len(split)]


def _said(growth: Growth, memory: Memory, lost: frozenset[int]) -> str:
    told = [f"class {name!r}" for name in growth.remove_classes] + ([f"{len(lost & memory.seen):,} examples"] if lost else [])
    return f"forgotten: {', '.join(told)}; the head is what it would be had they never been summed"
