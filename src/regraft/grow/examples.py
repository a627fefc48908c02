"""What models are compared on: the data that all of them learnt, or data that a person names, read as the models read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft import lineage
from regraft.data import Dataset, load
from regraft.data.encode import Encoded, encode
from regraft.errors import DataError, RequestError
from regraft.serve.rebuild import Rebuilt
from regraft.trunk.network import Network
from regraft.tune import evidence
from regraft.tune.job import Work, no_work

FRACTIONS = ("valid_fraction", "test_fraction")
SEEN = "seen.examples"
KEY_BYTES = 8


@dataclass(frozen=True, eq=False)
class Examples:
    """``classes``: what targets index. ``rebuilt``: the model whose preprocessing they went through."""

    dataset: Dataset
    classes: tuple[str, ...]
    rebuilt: Rebuilt
    encoded: dict[str, Encoded]
    work: Work = no_work

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in ("valid", "test") if split in self.encoded)

    def targets(self, split: str) -> NDArray[np.int64]:
        """(n,) indices into ``classes``."""
        found = np.asarray(self.encoded[split].targets)
        if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
            raise RequestError(
                f"merge models for {self.dataset.task}",
                "its targets are not one class for each example",
                "merges are measured on one label out of several",
            )
        place = np.array([self.classes.index(name) for name in self.dataset.classes])
        return place[found]

    def logits(self, network: Network, split: str) -> NDArray[np.float32]:
        return evidence.logits(network, self.encoded[split], lambda done, total: self.work(f"measuring on {split}", done, total))

    def answers(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.rebuilt.task.answers(logits)

    def probabilities(self, network: Network, split: str, classes: Sequence[str]) -> NDArray[np.float32]:
        """(n, k) over ``self.classes``, of a network that knows ``classes``; what it does not know it gives no chance."""
        own = self.answers(self.logits(network, split))
        everything = np.zeros((len(own), len(self.classes)), np.float32)
        everything[:, [self.classes.index(name) for name in classes]] = own
        return everything

    def names(self, split: str, probabilities: NDArray[np.float32]) -> list[str]:
        """What (n, k) probabilities call each example."""
        return [self.classes[index] for index in probabilities.argmax(axis=1)]

    def seen_by(self, store: lineage.Store, record: lineage.Generation, split: str) -> int:
        """How many examples of the split the generation was trained on."""
        seen = store.assets(record).get(SEEN, b"")
        known = {seen[i : i + KEY_BYTES] for i in range(0, len(seen), KEY_BYTES)}
        return sum(bytes.fromhex(digest[: 2 * KEY_BYTES]) in known for digest in self.encoded[split].digests)


def open_examples(
    found: Sequence[lineage.Generation], rebuilt: Rebuilt, classes: Sequence[str], *, data: str | None = None, work: Work = no_work
) -> Examples:
    """The valid and test examples of ``data``, or of the data that all of ``found`` learnt. Raises ``RequestError``, ``DataError``."""
    dataset = _named(found[0], data, work) if data else _common(found, work)
    if unknown := sorted(set(dataset.classes) - set(classes)):
        raise RequestError(
            f"measure on {dataset.reference}", f"none of the models knows {', '.join(unknown[:4])}", "data with the classes that they know"
        )
    limit = rebuilt.max_length
    encoded: dict[str, Encoded] = {
        split: encode(dataset.splits[split], rebuilt.spec, rebuilt.tokenizer, max_length=limit)
        for split in ("valid", "test")
        if split in dataset.splits and len(dataset.splits[split])
    }
    if not encoded:
        raise RequestError(
            f"measure on {dataset.reference}", "it has neither a valid nor a test split", "data that leaves some examples aside"
        )
    return Examples(dataset, tuple(classes), rebuilt, encoded, work)


def facts(examples: Examples, given: str | None, first: dict[str, Any]) -> dict[str, Any]:
    """What a manifest records about the data."""
    if given is None:
        return first
    dataset = examples.dataset
    return {
        **first,
        "reference": str(Path(given).resolve()) if Path(given).exists() else given,
        "fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "splits": {name: len(split) for name, split in dataset.splits.items()},
        "given_splits": list(dataset.given_splits),
        "said": list(dataset.said),
    }


def _common(found: Sequence[lineage.Generation], work: Work) -> Dataset:
    first = found[0].manifest
    if len({one.manifest["data"]["fingerprint"] for one in found}) > 1:
        told = ", ".join(f"{one.name}: {Path(one.manifest['data']['reference']).name}" for one in found)
        raise RequestError(
            f"merge {', '.join(one.name for one in found)}", f"they learnt different data ({told})", "say what to measure on: --data DATA"
        )
    facts = first["data"]
    settings = {name: first["plan"]["settings"][name] for name in FRACTIONS}
    dataset = load(facts["reference"], task=first["task"], input=facts["input"], target=facts["target"], allow_rejected=True,
                   progress=work, **settings)  # fmt: skip
    if dataset.fingerprint != facts["fingerprint"]:
        raise DataError(
            f"measure on {facts['reference']}",
            "the data has changed since the models learnt it",
            "name it with --data, if it is still what to measure on",
        )
    return dataset


def _named(first: lineage.Generation, data: str, work: Work) -> Dataset:
    settings = {name: first.manifest["plan"]["settings"][name] for name in FRACTIONS}
    return load(data, task=first.manifest["task"], allow_rejected=True, progress=work, **settings)
