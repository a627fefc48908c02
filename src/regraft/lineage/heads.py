"""Further heads: generations for another task on the trunk of a generation. A manifest says so: ``head`` holds the head's ``name`` and whose trunk it
stands on (``of``, a digest). Whoever was made from such a generation, and nothing else, is that head too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regraft.errors import RequestError, suggest
from regraft.lineage.record import Generation

if TYPE_CHECKING:
    from regraft.lineage.store import Store


def heads(store: Store, generation: Generation) -> dict[str, Generation]:
    """Name of every further head on the trunk of ``generation`` or of one of its ancestors -> what that head is now. Of two with one name
    the later one counts."""
    family = {one.digest for one in store.lineage(generation.digest)}
    standing = sorted((store.get(name) for name in store.names()), key=lambda one: one.created)
    found = {one.manifest["head"]["name"]: one for one in standing if (one.manifest.get("head") or {}).get("of") in family}
    return dict(sorted(found.items()))


def together(generation: Generation) -> dict[str, dict[str, Any]]:
    """Of several tasks that the generation learned together: name -> ``{name, task, classes, facts}``."""
    return {one["name"]: one for one in generation.manifest.get("facts", {}).get("tasks", ())}


def chosen(store: Store, reference: str, head: str | None) -> Generation:
    """The generation that ``reference`` means; with ``head`` the further head of that name (or itself, where that is one of the tasks that it learned together)."""
    generation = store.get(reference)
    if head is None or head in together(generation):
        return generation
    known, own = heads(store, generation), list(together(generation))
    if head not in known:
        said = [
            *([f"its tasks are {', '.join(own)}"] if own else []),
            f"its further heads are {', '.join(known)}" if known else "it has no further head",
        ]
        advice = suggest(head, [*own, *known]) if own or known else f"regraft grow {reference} DATA --new-task {head}"
        raise RequestError(f"head {head!r} of {reference}", ", ".join(said), advice)
    return known[head]
