"""Two generations beside each other: plan, data, classes, edits, tensors, metrics, and how far the weights went. No torch without the drift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.errors import RequestError
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.plan.explain import cell_text
from regraft.plan.plan import Plan

SCHEMA = 1
ANSWERS = "answers."


def difference(store: Store, a: str, b: str, *, drift: bool = True) -> dict[str, Any]:
    """The ``diff`` document: what changed from ``a`` to ``b`` (any references). A value that differs stands as ``[in a, in b]``.

    ``verdict``: ``b`` against ``a`` on the test examples that both answered when they were made; ``None``, with ``no_verdict`` saying why, where
    there are none. ``drift``: stage -> ||theta_b - theta_a|| / ||theta_a||, which reads the weights; ``None`` where it was not asked for.
    """
    one, other = store.get(a), store.get(b)
    found = {
        "schema": SCHEMA,
        "a": _named(one),
        "b": _named(other),
        "relation": relation(store, one, other),
        **{
            key: [one.manifest.get(key), other.manifest.get(key)]
            for key in ("model", "task")
            if one.manifest.get(key) != other.manifest.get(key)
        },
        "plan": plans(one.manifest["plan"], other.manifest["plan"]),
        "data": _data(one.manifest["data"], other.manifest["data"]),
        "classes": _classes(one.manifest["classes"], other.manifest["classes"]),
        "edits": _edits(one.manifest["edits"], other.manifest["edits"]),
        "tensors": _tensors(store, one, other),
        "metrics": _metrics(one.manifest.get("metrics") or {}, other.manifest.get("metrics") or {}),
        **_verdict(store, one, other),
        "drift": None,
    }
    if drift:
        from regraft.serve.drift import between

        found["drift"] = between(store, one, other)
    return found


def relation(store: Store, one: Generation, other: Generation) -> str:
    """How the second is related to the first, in words."""
    if one.digest == other.digest:
        return "the same generation"
    family, others = ([each.digest for each in store.lineage(generation.digest)] for generation in (one, other))
    if one.digest in others:
        return "b was made from a"
    if other.digest in family:
        return "a was made from b"
    if shared := next((digest for digest in family if digest in others), None):
        return f"both were made from {store.get(shared)}"
    return "both were tuned from the same pretrained weights" if one.base == other.base else "not related"


def plans(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Strategy, settings and cells of the grid that differ."""
    first, second = Plan.from_json(dict(one)), Plan.from_json(dict(other))
    mine, theirs = first.settings.json(), second.settings.json()
    cells = _cells(first), _cells(second)
    return {
        "strategy": [first.strategy, second.strategy] if first.strategy != second.strategy else None,
        "settings": {key: [mine.get(key), theirs.get(key)] for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)},
        "grid": [
            {"stage": stage, "a": cells[0].get(stage), "b": cells[1].get(stage)}
            for stage in reversed(list(dict.fromkeys([*first.stages, *second.stages])))
            if cells[0].get(stage) != cells[1].get(stage)
        ],
    }


def _cells(plan: Plan) -> dict[str, list[str]]:
    """Stage -> its cell in each phase, as the grid writes it."""
    return {stage: [cell_text(phase.cells[row]) for phase in plan.phases] for row, stage in enumerate(plan.stages)}


def _named(generation: Generation) -> dict[str, Any]:
    return {"name": generation.name, "digest": generation.digest, "created": generation.created}


def _data(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("fingerprint", "reference", "splits")
    return {
        "same": one.get("fingerprint") == other.get("fingerprint"),
        **{key: [one.get(key), other.get(key)] for key in keys if one.get(key) != other.get(key)},
    }


def _classes(one: list[str], other: list[str]) -> dict[str, Any]:
    shared = [name for name in one if name in set(other)]
    return {
        "added": [name for name in other if name not in set(one)],
        "removed": [name for name in one if name not in set(other)],
        "reordered": shared != [name for name in other if name in set(one)],
    }


def _edits(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any]:
    mine, theirs = ([(record["stage"], record["edit"]) for record in records] for records in (one, other))
    return {
        "added": [{"stage": stage, "edit": edit} for stage, edit in theirs if (stage, edit) not in mine],
        "removed": [{"stage": stage, "edit": edit} for stage, edit in mine if (stage, edit) not in theirs],
    }


def _tensors(store: Store, one: Generation, other: Generation) -> dict[str, int]:
    mine, theirs = ({name: row["digest"] for name, row in store.table(each).items()} for each in (one, other))
    shared = mine.keys() & theirs.keys()
    return {
        "equal": sum(mine[name] == theirs[name] for name in shared),
        "changed": sum(mine[name] != theirs[name] for name in shared),
        "added": len(theirs.keys() - shared),
        "removed": len(mine.keys() - shared),
    }


def _metrics(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        split: {
            name: {"a": (one.get(split) or {}).get(name), "b": (other.get(split) or {}).get(name)}
            for name in dict.fromkeys([*(one.get(split) or {}), *(other.get(split) or {})])
        }
        for split in dict.fromkeys([*one, *other])
    }


def _verdict(store: Store, one: Generation, other: Generation) -> dict[str, Any]:
    from regraft.evaluate import stored

    found = []
    for each in (other, one):
        names = [name for name in each.manifest["assets"] if name.startswith(ANSWERS)]
        answers = stored.Stored.of({name: store.asset(each, name) for name in names}, each.manifest["classes"])
        if answers is None:
            return {"verdict": None, "no_verdict": f"{each} stores no test answers that are right or wrong"}
        found.append(answers)
    try:
        verdict, left_out = stored.verdict(*found)
    except RequestError as error:
        return {"verdict": None, "no_verdict": error.found}
    return {"verdict": {**verdict.json(), "left_out": left_out}}
