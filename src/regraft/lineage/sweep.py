"""What the store holds and nothing needs: temporaries of killed writers, generations that no name or tag reaches, objects without an owner.

Kept are the generations in the history of every name (or its last ``keep`` steps), those under a tag, all their ancestors, and what they
hold. Whatever changed within the grace period stays, since another process may be about to refer to it. Manifests go before their objects, so
that a sweep which is killed leaves nothing half there.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from regraft.lineage import query
from regraft.lineage.files import TEMPORARY, UNPACKING
from regraft.lineage.rows import holders

if TYPE_CHECKING:
    from regraft.lineage.store import Store

GRACE_S = 3600.0
FOLDERS = ("generations", "bases", "objects")


def sweep(store: Store, *, dry_run: bool, keep: int | None, grace_s: float, forget: Collection[str] = ()) -> dict[str, Any]:
    """Returns ``{"dry_run", "leftovers", "unreachable", "freed_bytes", "kept_bytes"}``: paths in the store, their size together, and
    that of what stays. ``forget``: names to remove first. Where a manifest that is needed is damaged nobody can tell what it needs: ``DamagedError``, and nothing goes."""
    before = time.time() - grace_s
    for name in forget:
        query.require(name, store.names(), "name")
    wanted = set(_reachable(store, list(_roots(store, keep, forget)), before))
    pairs = [(folder, file) for folder in FOLDERS for file in store.files.names(folder)]
    pairs += [
        (f"{kind}/{name}", file)
        for kind in ("names", "tags")
        for name in store.files.names(kind)
        for file in store.files.names(f"{kind}/{name}")
    ]
    leftovers = [f"{folder}/{file}" for folder, file in pairs if file.startswith(TEMPORARY)]
    leftovers += list(_unpacked(store))
    unreachable = [
        f"{folder}/{file}"
        for folder, file in pairs
        if folder in FOLDERS and not file.startswith(TEMPORARY) and f"{folder}/{file}" not in wanted
    ]
    leftovers, unreachable = ([path for path in paths if _is_older(store, path, before)] for paths in (leftovers, unreachable))
    sizes = {path: _size(store, path) for path in [*leftovers, *unreachable]}
    total = sum(_size(store, path) for path in {*leftovers, *(f"{folder}/{file}" for folder, file in pairs)})
    if not dry_run:
        for name in forget:
            store.forget(name)
        sizes = {path: size for path, size in sizes.items() if _removed(store, path, before)}
    freed = sum(sizes.values())
    return {
        "dry_run": dry_run,
        "leftovers": [path for path in leftovers if path in sizes],
        "unreachable": [path for path in unreachable if path in sizes],
        "freed_bytes": freed,
        "kept_bytes": total - freed,
    }


def _removed(store: Store, path: str, before: float) -> bool:
    """Remove it, unless a writer has just come to rely on it."""
    if not _is_older(store, path, before):
        return False
    store.files.remove(path)
    return True


def _reachable(store: Store, roots: Sequence[str], before: float) -> Iterator[str]:
    """Paths of every manifest and object that these generations or a recent one need."""
    held = set(store.digests())
    seen: set[str] = set()
    young = (
        file for file in store.files.names("bases") if not file.startswith(TEMPORARY) and not _is_older(store, f"bases/{file}", before)
    )
    bases = {file.removesuffix(".json") for file in young}
    recent = [digest for digest in held if not _is_older(store, f"generations/{digest}.json", before)]
    for root in [*roots, *recent]:
        if root not in held or root in seen:
            continue
        for generation in query.ancestry(store, store.read("generations", root), seen=seen):
            yield from _needs(store, "generations", generation.digest)
            if generation.base:
                bases.add(generation.base)
    for base in bases:
        yield from _needs(store, "bases", base)


def _needs(store: Store, folder: str, digest: str) -> Iterator[str]:
    generation = store.read(folder, digest)
    yield f"{folder}/{digest}.json"
    yield f"objects/{generation.manifest['tensors']['object']}"
    yield from (f"objects/{row['object']}" for row in generation.manifest["assets"].values())
    yield from {f"objects/{holder}" for row in store.table(generation).values() for holder in holders(row)}


def _unpacked(store: Store) -> Iterator[str]:
    """What killed imports have unpacked."""
    for run in store.files.names("runs"):
        if run.startswith(UNPACKING):
            yield from (f"runs/{run}/{file}" for file in store.files.names(f"runs/{run}") if file not in FOLDERS)
            yield from (f"runs/{run}/{folder}/{file}" for folder in FOLDERS for file in store.files.names(f"runs/{run}/{folder}"))


def _roots(store: Store, keep: int | None, forget: Collection[str]) -> Iterator[str]:
    yield from store.tags().values()
    for name in store.names().keys() - set(forget):
        if keep is None:
            yield from (entry.generation for entry in store.history(name) if entry.generation)
        else:
            steps = (store.step_back(name, step) for step in range(keep))
            yield from (entry.generation for entry in steps if entry and entry.generation)


def _is_older(store: Store, path: str, before: float) -> bool:
    with suppress(FileNotFoundError):
        return store.files.modified_s(path) <= before
    return False


def _size(store: Store, path: str) -> int:
    with suppress(FileNotFoundError):
        return store.files.size(path)
    return 0
