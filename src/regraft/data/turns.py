"""A conversation as a split holds it: a JSON list of turns, each a role and what was said.

    [["system", "Be brief."], ["user", "Is it raining?"], ["assistant", "Yes."]]

| role | who speaks |
|---|---|
| system | who sets the scene, before anybody else |
| tools | the descriptions of the functions that may be called, as JSON |
| user | the person |
| assistant | the model: what is learned |
| call | the model, calling a function: learned too |
| tool | what a function gave back |
| chosen, rejected | two answers to the same conversation, the better one first: the last turns of a preference pair |
| text | plain text, learned from its first token to its last; it stands alone |
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from regraft.errors import DataError

Turn = tuple[str, str]
"""(role, what was said)."""

LEARNED = frozenset({"assistant", "call"})
ROLES = ("system", "tools", "user", "assistant", "call", "tool", "chosen", "rejected", "text")
SPOKEN = {"system": "system", "user": "human", "assistant": "model", "call": "function call", "tool": "function result"}
"""How a role is called where a person reads of a fault."""
BEFORE: dict[str, tuple[str, ...]] = {
    "user": ("", "assistant", "call", "tool"),
    "assistant": ("user", "tool", "call"),
    "call": ("user", "tool", "assistant", "call"),
    "tool": ("call", "tool", "assistant"),
}
"""Role -> what may stand right before it; ``""``: nothing, or what sets the scene."""


def written(turns: Sequence[Turn]) -> str:
    """``turns`` as one cell of a table."""
    return json.dumps([list(turn) for turn in turns], ensure_ascii=False)


def turns_of(cell: str) -> list[Turn]:
    """The turns that ``written`` wrote. Raises ``DataError`` for anything else."""
    try:
        return [(str(role), str(said)) for role, said in json.loads(cell)]
    except (ValueError, TypeError) as error:
        raise DataError(
            f"read a conversation from {cell[:40]!r}", "no JSON list of turns", '[["user", "..."], ["assistant", "..."]]'
        ) from error


def fault(turns: Sequence[Turn], *, answered: bool = True) -> str:
    """What keeps ``turns`` from being a conversation to learn from, in words; empty where nothing does. ``answered``: it has to end with an answer."""
    spoken = [(place, role) for place, (role, _) in enumerate(turns, start=1) if role not in ("system", "tools")]
    if not spoken:
        return "no turn of a conversation"
    for place, (role, said) in enumerate(turns, start=1):
        if role != "tools" and not said.strip():
            return f"turn {place}: an empty {_kind(role)}"
    before = ""
    for place, role in spoken:
        if role not in BEFORE:
            return f"turn {place}: role {role!r} has no place here"
        if before not in BEFORE[role]:
            return _out_of_turn(place, role, before)
        before = role
    return "" if not answered or before in LEARNED else "it ends without an answer of the model"


def pair_fault(turns: Sequence[Turn], chosen: str, rejected: str) -> str:
    """The same of a preference pair: the conversation ``turns`` and two answers to it."""
    if not chosen.strip() or not rejected.strip():
        return f"the {'rejected' if chosen.strip() else 'chosen'} answer is empty"
    if chosen.strip() == rejected.strip():
        return "chosen and rejected are the same answer"
    if turns and turns[-1][0] in LEARNED:
        return "the conversation before the pair ends with an answer of the model"
    return fault(turns, answered=False)


def answer_of(turns: Sequence[Turn]) -> str:
    """What the model says last, of a pair the chosen answer; empty for plain text."""
    return next((said for role, said in reversed(turns) if role in (*LEARNED, "chosen")), "")


def prompt_of(turns: Sequence[Turn]) -> list[Turn]:
    """The turns before the last answer of the model."""
    last = max((place for place, (role, _) in enumerate(turns) if role in (*LEARNED, "chosen")), default=len(turns))
    return [turn for turn in turns[:last] if turn[0] != "rejected"]


def _kind(role: str) -> str:
    return "answer" if role in LEARNED else f"{SPOKEN.get(role, role)} turn"


def _out_of_turn(place: int, role: str, before: str) -> str:
    if role == before:
        return f"turns {place - 1} and {place}: two {SPOKEN[role]} turns in a row"
    return f"turn {place}: a {SPOKEN[role]} turn {'after a ' + SPOKEN[before] + ' turn' if before else 'begins the conversation'}"


def readable(turns: Sequence[Turn]) -> str:
    """``turns`` for a person: who says what, a line each; a single turn as it is."""
    return turns[0][1] if len(turns) == 1 else "\n".join(f"{SPOKEN.get(role, role)}: {said}" for role, said in turns)
