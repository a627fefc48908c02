"""What the arguments of ``predict`` mean: texts, files, folders, or the lines of stdin."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from regraft.cli.console import note
from regraft.errors import RequestError
from regraft.spec import PART, Form

SHOWN = 3
LONGEST_NAME = 1024
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Gathered:
    """``values``: every single input, in order; ``rejected``: what cannot be answered, each ``{where, reason}``."""

    values: list[Any]
    rejected: list[dict[str, str]]


def gather(given: list[str], form: Form, *, column: str | None = None) -> Gathered:
    """What the arguments hold; what of it is no input is also said on stderr. ``column``: of a table. Raises ``RequestError`` where nothing is left,
    ``DataError``."""
    found: list[str] = []
    rejected: list[dict[str, str]] = []
    for one in given:
        values, refused = _expand(one, form, column)
        found += values
        rejected += refused
    listed = ", ".join(f"{item['where']} ({item['reason']})" for item in rejected[:SHOWN])
    more = f" and {len(rejected) - SHOWN:,} more" if len(rejected) > SHOWN else ""
    if not found:
        reasons = f" that can be read: {listed}{more}" if rejected else ""
        raise RequestError(
            f"predict {' '.join(given)}", f"no {form.kind} in there{reasons}", "give texts, files, folders, a table, or - for stdin"
        )
    if rejected:
        note(f"not answered, {len(rejected):,} in all: {listed}{more}")
    return Gathered([value.split(PART) if PART in value else value for value in found], rejected)


def _expand(given: str, form: Form, column: str | None) -> tuple[Iterable[str], list[dict[str, str]]]:
    from regraft.data.unlabelled import names_a_file, read

    if given == STDIN:
        return [line.rstrip("\n") for line in sys.stdin if line.strip()], []
    path = Path(given)
    if len(given) < LONGEST_NAME and path.exists():
        inputs = read(path, form, input=column)
        return inputs.values, [{"where": item.where, "reason": item.reason} for item in inputs.rejected]
    if form.kind != "text" or names_a_file(given):
        raise RequestError(f"predict {given}", "no such file or folder", _nearby(path))
    return [given], []


def _nearby(path: Path) -> str:
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean {path.parent / near[0]}?" if near else "give the path of a file or folder that is there"
