"""Are the stored bytes those of their digests? Everything that a manifest records is recomputed; what was read once is not read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from regraft.errors import DamagedError
from regraft.lineage import query, record
from regraft.lineage import tensors as tensor_files
from regraft.lineage.record import Generation
from regraft.lineage.rows import Row, Table, holders, parts

if TYPE_CHECKING:
    from regraft.lineage.store import Store

SHOWN = 5
MEND = "restore the store from a backup, or tune again, which mends it"


class Verifier:
    """Compares what a store holds with its digests, and remembers what it has compared."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sound: dict[tuple[str, str, str], bool] = {}

    def broken(self, rows: Iterable[Row]) -> set[tuple[str, str]]:
        """(holder, key) of every tensor, told by its row of a table, whose bytes, or those it is a difference to, are missing or not those of
        their digests. What differences unpack to is compared where they are unpacked."""
        rows = list(rows)
        unknown: dict[str, dict[str, str]] = {}
        for part in (part for row in rows for part in parts(row)):
            if part not in self._sound:
                holder, key, value = part
                unknown.setdefault(holder, {})[key] = value
        for holder, expected in unknown.items():
            bad = set(self._damaged(holder, expected))
            self._sound.update({(holder, key, value): key not in bad for key, value in expected.items()})
        return {(row["holder"], row["key"]) for row in rows if not all(self._sound[part] for part in parts(row))}

    def tensors(self, table: Table) -> list[str]:
        """Names of the damaged tensors of a table."""
        broken = self.broken(table.values())
        return [name for name, row in table.items() if (row["holder"], row["key"]) in broken]

    def generation(self, generation: Generation) -> None:
        """Every digest of a generation or base: manifest, tensors, assets. Raises ``DamagedError`` that names everything damaged."""
        folder = "bases" if generation.manifest["kind"] == "base" else "generations"
        fresh = self._store.read(folder, generation.digest)
        table = self._store.table(fresh)
        broken = [f"tensor {name}" for name in self.tensors(table)]
        if record.digest_of(fresh.manifest, {name: row["digest"] for name, row in table.items()}) != fresh.digest:
            broken.append("the manifest")
        broken += [f"asset {name}" for name, row in fresh.manifest["assets"].items() if not self._asset(row, name)]
        if broken:
            raise damage(self._store.location, fresh, broken)

    def _asset(self, row: Mapping[str, Any], name: str) -> bool:
        try:
            self._store.object(row["object"], row["digest"], name)
        except DamagedError:
            return False
        return True

    def _damaged(self, holder: str, expected: Mapping[str, str]) -> list[str]:
        try:
            return tensor_files.damaged(self._store.files.local(f"objects/{holder}"), expected)
        except FileNotFoundError:
            return list(expected)


def whole(store: Store, reference: str) -> dict[str, int]:
    """Recompute every digest of a generation, of all its ancestors and of the pretrained weights under them.

    Returns how many of each kind were compared: ``generations``, ``bases``, ``tensors`` (stored ones, each once), ``assets``, ``bytes``.
    Raises ``DamagedError`` at the first one that is damaged.
    """
    verifier = Verifier(store)
    generations = list(query.ancestry(store, store.get(reference)))
    bases = [store.read("bases", base) for base in dict.fromkeys(g.base for g in generations if g.base)]
    stored: dict[str, int] = {}
    tensors: set[tuple[str, str]] = set()
    for one in [*bases, *reversed(generations)]:
        verifier.generation(one)
        table = store.table(one)
        tensors |= {(row["holder"], row["key"]) for row in table.values()}
        for place in store.tensor_files(one, verify=False).values():
            if callable(place):
                place()
        files = [one.manifest["tensors"]["object"], *(row["object"] for row in one.manifest["assets"].values())]
        for file in {*files, *(holder for row in table.values() for holder in holders(row))}:
            stored[file] = store.files.size(f"objects/{file}")
    assets = sum(len(one.manifest["assets"]) for one in [*bases, *generations])
    return {
        "generations": len(generations),
        "bases": len(bases),
        "tensors": len(tensors),
        "assets": assets,
        "bytes": sum(stored.values()),
    }


def damage(location: str, generation: Generation, broken: list[str]) -> DamagedError:
    shown = ", ".join(broken[:SHOWN]) + (f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else "")
    return DamagedError(
        f"generation {generation} of {location}",
        f"damaged: {shown}",
        MEND,
    )
