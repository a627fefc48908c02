"""What a generation and its ancestors left: probes to be measured on, examples and features to learn from again, and who has seen what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from regraft import digest, lineage
from regraft.errors import DamagedError
from regraft.evaluate import stored
from regraft.evaluate.sums import Sums
from regraft.tune import summed
from regraft.tune.generation import SEEN
from regraft.tune.keeping import SUMS
from regraft.tune.kept import FEATURES, PROBE, REPLAY, Kept

Row = dict[str, Any]


@dataclass(eq=False)
class Memory:
    """Of the generation ``record`` in ``store``. What was kept belongs to the nearest ancestor that says so: an edit or a merge keeps it."""

    store: lineage.Store
    record: lineage.Generation

    @property
    def manifest(self) -> dict[str, Any]:
        return self.record.manifest

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest["classes"])

    @property
    def folder(self) -> Path:
        """For the image files of kept examples."""
        return Path(self.store.cache_folder) / ".kept"

    @cached_property
    def family(self) -> list[lineage.Generation]:
        """The generation and its ancestors, nearest first."""
        return self.store.lineage(self.record.digest)

    @cached_property
    def own(self) -> list[lineage.Generation]:
        """Those of the family that answer the same question: a further head has nothing from before it was grown but its trunk."""
        head = self.manifest.get("head")
        return [one for one in self.family if one.manifest.get("head") == head]

    @cached_property
    def keeper(self) -> lineage.Generation:
        return next((one for one in self.own if one.manifest.get("kept")), self.record)

    def rows(self, what: str) -> list[Row]:
        return [row for row in self.keeper.manifest.get("kept", []) if row["what"] == what]

    def content(self, row: Row) -> bytes:
        """What was kept under ``row``, compared with its digest."""
        return asset(self.store, self.keeper, row["asset"])

    def tables(self, what: str) -> Iterator[tuple[Row, Kept]]:
        for row in self.rows(what):
            yield row, Kept.of_bytes(self.content(row))

    @cached_property
    def probes(self) -> list[tuple[Row, Kept]]:
        return list(self.tables(PROBE))

    @cached_property
    def replay(self) -> list[Kept]:
        return [table for _, table in self.tables(REPLAY)]

    @cached_property
    def features(self) -> list[tuple[Row, Kept]]:
        return list(self.tables(FEATURES))

    @cached_property
    def sums(self) -> Sums | None:
        """The sums themselves, where no example and no feature was to be kept."""
        rows = self.rows(SUMS)
        return summed.of_bytes(self.content(rows[0])) if rows else None

    @cached_property
    def seen(self) -> frozenset[int]:
        """Keys of all examples that the generation or an ancestor learned from (train and valid), less what was forgotten since."""
        found: set[int] = set()
        for one in self.own:
            found.update(_keys(self.store, one, SEEN))
            if "gate" in one.manifest:  # a grown one says it of all its ancestors
                break
        return frozenset(found)

    @cached_property
    def tested(self) -> frozenset[int]:
        """Keys of all examples that the generation or an ancestor was tested on: none of them may ever be learned."""
        probes = {int(key) for _, table in self.probes for key in table.keys}
        return frozenset(key for one in self.family for key in _keys(self.store, one, stored.EXAMPLES)) | probes

    @cached_property
    def answers(self) -> Mapping[int, str]:
        """Key of a test example -> the class that the generation gave it, as far as that was recorded."""
        assets = {name: asset(self.store, self.record, name) for name in self.manifest["assets"] if name.startswith("answers.")}
        held = stored.Stored.of(assets, self.classes)
        return {int.from_bytes(key, "big"): called for key, (called, _) in held.answers.items()} if held else {}


def _keys(store: lineage.Store, generation: lineage.Generation, name: str) -> list[int]:
    """The keys in an asset of eight bytes each; none where the generation has no such asset."""
    return np.frombuffer(asset(store, generation, name), ">u8").tolist() if name in generation.manifest["assets"] else []


def asset(store: lineage.Store, generation: lineage.Generation, name: str) -> bytes:
    """One asset of a generation, compared with its digest."""
    row = generation.manifest["assets"][name]
    try:
        data = store.files.read(f"objects/{row['object']}")
    except FileNotFoundError:
        data = b""
    if digest.of_bytes(data) != row["digest"]:
        raise DamagedError(
            f"read {name} of {generation}", "it is missing, or its content does not match its digest", "restore the store from a backup"
        )
    return data
