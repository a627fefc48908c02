"""The lineage as a picture: generations in order, each below everything that was made from it, with lines from child to parent.

●─╮  soup      a merge of b and a
│ ●  b
●─╯  a         b was made from a
○    first     what it was made from is not in this list
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

FIRST, MADE = "○", "●"
FORK, FORK_LAST, JOIN, JOIN_LAST, CROSSING = "┬", "╮", "┴", "╯", "┼"
Row = Mapping[str, Any]
"""``digest``, ``parents``, and whatever else it carries."""


def ordered(rows: Sequence[Row]) -> list[Row]:
    """The rows with every child before its parents; otherwise as they come (the log gives the newest first)."""
    place = {row["digest"]: number for number, row in enumerate(rows)}
    waiting = dict.fromkeys(place, 0)
    for row in rows:
        for parent in _held(row, place):
            waiting[parent] += 1
    ready = [place[digest] for digest, children in waiting.items() if not children]
    heapq.heapify(ready)
    found: list[Row] = []
    while ready:
        row = rows[heapq.heappop(ready)]
        found.append(row)
        for parent in _held(row, place):
            waiting[parent] -= 1
            if not waiting[parent]:
                heapq.heappush(ready, place[parent])
    return found


def drawn(rows: Sequence[Row]) -> list[tuple[str, Row | None]]:
    """Lines of the picture from the top: what is drawn, and the row that stands beside it (``None``: a line between two rows)."""
    order = ordered(rows)
    held = {row["digest"] for row in order}
    lanes: list[str | None] = []  # lane -> the digest that its line leads down to
    lines: list[tuple[str, Row | None]] = []
    for row in order:
        ending = [lane for lane, wanted in enumerate(lanes) if wanted == row["digest"]]
        at = ending[0] if ending else _free(lanes, 0)
        joins = {lane: JOIN_LAST if lane == ending[-1] else JOIN for lane in ending[1:]}
        node = _line(lanes, at, joins, MADE if row["parents"] else FIRST)
        for lane in ending:
            lanes[lane] = None
        parents = _held(row, held)
        lanes[at] = parents[0] if parents else None
        forks = _forks(lanes, at, parents[1:])
        if not joins:
            node = _line(lanes, at, forks, MADE if row["parents"] else FIRST)
        lines.append((node, row))
        if joins and forks:
            lines.append((_line(lanes, at, forks, "├"), None))
        while lanes and lanes[-1] is None:
            lanes.pop()
    return lines


def _forks(lanes: list[str | None], at: int, parents: Sequence[str]) -> dict[int, str]:
    """Lead lines to further parents: to a lane that goes there already, else to a new one. Returns lane -> what is drawn there."""
    going = {parent: next((n for n, wanted in enumerate(lanes) if wanted == parent and n != at), None) for parent in parents}
    new = []
    for parent in (parent for parent in parents if going[parent] is None):
        new.append(_free(lanes, at + 1))
        lanes[new[-1]] = parent
    old = [lane for lane in going.values() if lane is not None]
    most, least = max([at, *new, *old]), min([at, *old])
    found = {lane: FORK_LAST if lane == most else FORK for lane in new}
    return {**found, **{lane: "┤" if lane == most else "├" if lane == least else CROSSING for lane in old}}


def _free(lanes: list[str | None], start: int) -> int:
    """The first empty lane from ``start`` on, made if there is none."""
    lanes.extend([None] * (start - len(lanes)))
    lane = next((n for n in range(start, len(lanes)) if lanes[n] is None), len(lanes))
    if lane == len(lanes):
        lanes.append(None)
    return lane


def _line(lanes: Sequence[str | None], at: int, marks: Mapping[int, str], node: str) -> str:
    """One line: ``node`` in lane ``at``, joined by a rule with the lanes of ``marks``; every other lane runs on."""
    low, high = min([at, *marks]), max([at, *marks])
    drawing = ""
    for lane, wanted in enumerate(lanes):
        crossed = low < lane < high
        runs = (CROSSING if crossed else "│") if wanted else ("─" if crossed else " ")
        drawing += (node if lane == at else marks.get(lane, runs)) + ("─" if low <= lane < high else " ")
    return drawing.rstrip()


def _held(row: Row, held: Mapping[str, Any] | set[str]) -> list[str]:
    return [parent for parent in dict.fromkeys(row["parents"]) if parent in held]
