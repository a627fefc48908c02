"""From flags and a recipe to the keyword options of ``plan`` and ``tune``: default < recipe < flag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.errors import RequestError

PRODUCED = frozenset({"reasons", "warnings", "cost"})
"""Keys of a recipe that a plan was written with, not asked for with."""


def resolved(data: str | None, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The data reference and every option that was given, in the recipe, with ``--set`` or as a flag of its own."""
    flags = {name: value for name, value in given.items() if name not in ("recipe", "set") and value not in (None, False)}
    if "lr" in flags:
        flags["lr"] = rate(flags["lr"])
    document = _written(given) if given["recipe"] or given["set"] else {}
    settings = document.pop("settings", {})
    options = {**{key: value for key, value in document.items() if key not in PRODUCED}, **settings, **flags}
    reference = data or options.get("data")
    options.pop("data", None)
    if not reference:
        raise RequestError("a data set", "none is named", "give DATA, or data: in the recipe")
    return reference, options


def _written(given: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's keys with those of ``--set`` over them, its strategy as a plan takes it."""
    from regraft.plan import recipe as recipes

    written = recipes.read(given["recipe"]) if given["recipe"] else {}
    document = recipes.layered(written, recipes.assignments(given["set"] or []))
    if document.get("strategy") and not given.get("strategy"):
        document["strategy"] = recipes.strategy_of(document["strategy"])
    return document


def rate(text: str) -> float | str:
    """``--lr``: a number, or the word ``find``."""
    if text == "find":
        return text
    try:
        return float(text)
    except ValueError:
        raise RequestError(f"--lr {text}", "that is neither a number nor 'find'", "--lr 1e-4, or --lr find") from None
