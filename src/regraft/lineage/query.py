"""Questions to the lineage: which generation a reference means, what came before it, what there is."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from regraft.errors import DamagedError, LineageError, suggest
from regraft.lineage.record import Generation

if TYPE_CHECKING:
    from regraft.lineage.store import Store

NAME = re.compile(r"\w[\w.\-]{0,98}")
SHORTEST_PREFIX = 4
SHOWN_SUGGESTIONS = 12
DAMAGED: dict[str, Any] = {
    "name": "",
    "parent": None,
    "parents": [],
    "created": "",
    "strategy": "damaged",
    "metrics": {},
    "stored_bytes": 0,
}


def check_name(name: str) -> None:
    """Names become folder names and are typed with ``~1`` behind them."""
    if not NAME.fullmatch(name) or name.endswith("."):
        raise LineageError(f"name {name!r}", "names are letters, digits, '_', '-' and '.', at most 99, and begin with a letter, digit or '_'",
                           f"for example {re.sub(r'[^0-9A-Za-z]+', '-', name).strip('-')[:60] or 'tickets'!r}")  # fmt: skip


def require(name: str, known: Mapping[str, str], kind: str) -> None:
    if name not in known:
        raise LineageError(f"{kind} {name!r}", f"the store has no such {kind}", suggest(name, known))


def resolve(store: Store, reference: str) -> Generation:
    """See ``Store.get``."""
    word, steps = _steps(reference)
    names = store.names()
    if word in names:
        return _back_by_name(store, word, steps)
    tags = store.tags()
    found = tags.get(word) or _by_prefix(store, word) or _unknown(store, reference, [*names, *tags])
    generation = store.read("generations", found)
    for _ in range(steps):
        if generation.parent is None:
            raise LineageError(f"generation {reference!r}", f"{generation} has no parent", f"regraft show {word}")
        generation = store.read("generations", generation.parent)
    return generation


def ancestry(store: Store, *starts: Generation, seen: set[str] | None = None) -> Iterator[Generation]:
    """The generations, their parents, theirs, and so on, nearest first, each once; a branch ends where an ancestor has been swept.

    What is in ``seen`` is passed over with all that it stands on; what is yielded is added to it.
    """
    held, seen = set(store.digests()), set() if seen is None else seen
    queue = deque(starts)
    while queue:
        generation = queue.popleft()
        if generation.digest in seen:
            continue
        seen.add(generation.digest)
        yield generation
        queue.extend(store.read("generations", parent) for parent in generation.parents if parent in held and parent not in seen)


def log(store: Store) -> list[dict[str, Any]]:
    """See ``Store.log``. A damaged manifest gives a row with ``damaged`` instead of an error, so that the rest can be seen."""
    names, tags = _inverted(store.names()), _inverted(store.tags())
    rows = []
    for digest in store.digests():
        try:
            row = _row(store.read("generations", digest))
        except DamagedError as error:
            row = {**DAMAGED, "digest": digest, "damaged": error.found}
        rows.append({**row, "tags": tags[digest], "names": names[digest]})
    return sorted(rows, key=lambda row: (row["created"], row["digest"]), reverse=True)


def _row(generation: Generation) -> dict[str, Any]:
    manifest = generation.manifest
    strategy = manifest.get("strategy") or (manifest.get("plan") or {}).get("strategy")
    return {
        "name": generation.name,
        "digest": generation.digest,
        "parent": generation.parent,
        "parents": list(generation.parents),
        "created": generation.created,
        "strategy": strategy,
        "metrics": manifest.get("metrics") or {},
        "stored_bytes": generation.stored_bytes,
    }


def _steps(reference: str) -> tuple[str, int]:
    word, tilde, count = reference.partition("~")
    if tilde and not re.fullmatch(r"\d{0,6}", count):
        raise LineageError(f"generation {reference!r}", "after '~' stands a number of steps back", f"{word}~1")
    return word, int(count or 1) if tilde else 0


def _back_by_name(store: Store, name: str, steps: int) -> Generation:
    entry = store.step_back(name, steps)
    if entry is None or entry.generation is None:
        raise LineageError(
            f"generation '{name}~{steps}'", f"the history of {name!r} does not go back so far", f"regraft log shows what {name!r} was"
        )
    return store.read("generations", entry.generation)


def _by_prefix(store: Store, word: str) -> str | None:
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", word):
        return None
    found = [digest for digest in store.digests() if digest.startswith(word)]
    if len(found) > 1:
        shown = ", ".join(digest[: len(word) + 8] for digest in found[:5])
        raise LineageError(f"generation {word!r}", f"{len(found)} digests begin so: {shown}", "type more of the digest")
    return found[0] if found else None


def _unknown(store: Store, reference: str, known: Collection[str]) -> str:
    if not known:
        raise LineageError(
            f"generation {reference!r}", f"the store {store.location} is empty", "regraft tune DATA makes the first one; or give --store"
        )
    near = suggest(reference, sorted(known)[:SHOWN_SUGGESTIONS] if len(known) > SHOWN_SUGGESTIONS else known)
    raise LineageError(f"generation {reference!r}", f"no name, tag or digest of {store.location}", near)


def _inverted(pointers: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for pointer, digest in pointers.items():
        found[digest].append(pointer)
    return found
