"""Records of instructions, conversations and preferences, as the files that people share write them, read as turns.

| layout | known by | turns |
|---|---|---|
| Alpaca | columns ``instruction`` and ``output`` | ``history`` (pairs), ``system``; ``instruction`` and ``input`` are one human turn |
| ShareGPT | a column ``conversations`` of ``from`` and ``value`` | human, gpt, function_call, observation, system; columns ``system``, ``tools`` |
| messages | a column ``messages`` (or ``conversations``) of ``role`` and ``content`` | user, assistant, tool, system, developer; ``tool_calls`` |
| preferences | columns ``chosen`` and ``rejected`` | beside ``prompt``, ``instruction`` or ``conversations``; or both of them whole conversations |
| text | the only column, ``text`` | plain text |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regraft.data.turns import LEARNED, Turn, answer_of, fault, pair_fault, written
from regraft.spec import Target

Cells = Mapping[str, str | None]
"""One record: column -> cell, lists and objects as JSON."""

ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
    "function_call": "call", "function-call": "call", "tool_call": "call", "observation": "tool", "tool": "tool", "function": "tool",
    "function_response": "tool", "ipython": "tool", "system": "system", "developer": "system",
}  # fmt: skip
TALKS = ("conversations", "conversation", "messages", "dialog", "dialogue")
PROMPTS = ("prompt", "question", "instruction")
OPTIONAL = ("input", "system", "history", "tools")
ONLY_TEXT = "text"


class _Unusable(Exception):
    """A record that is no conversation; the message says why."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``name``: of the layout, as people call it. ``columns``: those it reads, as spelled in the table; ``target``: text to learn, or preference."""

    name: str
    columns: tuple[str, ...]
    target: Target
    read: Callable[[Cells], list[Turn]]

    def record(self, cells: Cells) -> tuple[str | None, str, str]:
        """(conversation, the answer in it, fault): a fault says why there is no conversation."""
        try:
            turns = self.read({name.strip().lower(): cell for name, cell in cells.items()})
        except _Unusable as unusable:
            return None, "", str(unusable)
        found = _fault(turns)
        return (None, "", found) if found else (written(turns), answer_of(turns), "")


def layout_in(names: Sequence[str]) -> Layout | None:
    """The layout that these columns are of, by their names; ``None`` for any other table."""
    plain = {name.strip().lower(): name for name in names}
    talk = next((name for name in TALKS if name in plain), None)
    beside = [name for name in OPTIONAL if name in plain]

    def made(name: str, columns: Sequence[str], target: Target, read: Callable[[Cells], list[Turn]]) -> Layout:
        return Layout(name, tuple(plain[column] for column in columns), target, read)

    if {"chosen", "rejected"} <= plain.keys():
        prompts = [talk] if talk else [name for name in PROMPTS if name in plain][:1]
        columns = [*prompts, *beside, "chosen", "rejected"]
        return made("preference pairs", columns, "preference", lambda cells: _preference(cells, prompts[0] if prompts else ""))
    if {"instruction", "output"} <= plain.keys():
        return made("Alpaca", ["instruction", "output", *beside], "text", _alpaca)
    if talk:
        return made(
            "conversations", [talk, *(name for name in beside if name in ("system", "tools"))], "text", lambda cells: _talk(cells, talk)
        )
    return made("plain text", [ONLY_TEXT], "text", lambda cells: [("text", cells[ONLY_TEXT] or "")]) if [*plain] == [ONLY_TEXT] else None


def lacks_output(names: Sequence[str]) -> bool:
    """Are these the columns of Alpaca but for the answers?"""
    plain = {name.strip().lower() for name in names}
    return "instruction" in plain and plain <= {"instruction", "id", *OPTIONAL}


def as_text(name: str) -> Layout:
    """Column ``name`` as plain text."""
    return Layout("plain text", (name,), "text", lambda cells: [("text", cells[name.strip().lower()] or "")])


def turns_in(value: Any) -> list[Turn]:
    """Turns from a list of messages in any of the spellings above. Raises ``_Unusable``."""
    if not isinstance(value, list):
        raise _Unusable(f"no list of turns: {str(value)[:40]!r}")
    return [turn for place, message in enumerate(value, start=1) for turn in _message(message, place)]


def _fault(turns: Sequence[Turn]) -> str:
    if turns and turns[0][0] == "text":
        return "" if turns[0][1].strip() else "empty text"
    if turns and turns[-1][0] == "rejected":
        return pair_fault(turns[:-2], turns[-2][1], turns[-1][1])
    return fault(turns)


def _alpaca(cells: Cells) -> list[Turn]:
    output = cells.get("output")
    if output is None or not output.strip():
        raise _Unusable("Alpaca record without output")
    turns = _scene(cells)
    for pair in _json(cells.get("history"), "history"):
        if not isinstance(pair, list) or len(pair) != 2:
            raise _Unusable("history: no pairs of an instruction and an answer")
        turns += [("user", str(pair[0])), ("assistant", str(pair[1]))]
    return [*turns, ("user", _asked(cells, "instruction")), ("assistant", output)]


def _talk(cells: Cells, column: str) -> list[Turn]:
    return [*_scene(cells), *turns_in(_json(cells.get(column), column))]


def _preference(cells: Cells, prompt: str) -> list[Turn]:
    chosen, rejected = (_answer(cells.get(name), name) for name in ("chosen", "rejected"))
    if prompt in TALKS or (prompt and (cells.get(prompt) or "").startswith("[{")):
        before = turns_in(_json(cells.get(prompt), prompt))
    elif prompt:
        before = [("user", _asked(cells, prompt))]
    else:
        before = chosen[:-1]
        if before != rejected[:-1]:
            raise _Unusable("chosen and rejected answer different conversations, and no prompt is given")
    return [*_scene(cells), *before, ("chosen", chosen[-1][1]), ("rejected", rejected[-1][1])]


def _answer(cell: str | None, name: str) -> list[Turn]:
    """The turns in a cell of answers: a text, one message, or a whole conversation whose last turn it is."""
    if cell is None:
        raise _Unusable(f"no {name} answer")
    if cell.startswith(("{", "[{")):
        value = _json(cell, name)
        turns = turns_in(value if isinstance(value, list) else [value])
        if not turns or turns[-1][0] not in LEARNED:
            raise _Unusable(f"{name}: its last turn is not the model's")
        return turns
    return [("assistant", cell)]


def _scene(cells: Cells) -> list[Turn]:
    """What stands before the first turn: the system prompt, and the tools where there are any."""
    turns: list[Turn] = []
    if system := (cells.get("system") or "").strip():
        turns.append(("system", system))
    if (tools := (cells.get("tools") or "").strip()) and tools != "[]":
        turns.append(("tools", tools))
    return turns


def _asked(cells: Cells, column: str) -> str:
    """The human turn: an instruction, and the input that it is about on the next line."""
    given = (cells.get("input") or "").strip()
    return f"{cells.get(column) or ''}\n{given}" if given else cells.get(column) or ""


def _message(message: Any, place: int) -> list[Turn]:
    if not isinstance(message, dict):
        raise _Unusable(f"turn {place}: no role and content")
    spelled = str(message.get("from", message.get("role", "")))
    role = ROLES.get(spelled.strip().lower())
    if role is None:
        raise _Unusable(f"turn {place}: unknown role {spelled!r}")
    said = _said(message.get("value", message.get("content")))
    calls = [("call", _call(call)) for call in message.get("tool_calls") or ()]
    return [*([(role, said)] if said.strip() or not calls else []), *calls]


def _said(content: Any) -> str:
    """The text of a message; of a list of parts those that are text."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else "" if content is None else json.dumps(content, ensure_ascii=False)


def _call(call: Any) -> str:
    function = call.get("function", call) if isinstance(call, dict) else call
    return json.dumps(function, ensure_ascii=False)


def _json(cell: str | None, name: str) -> Any:
    if cell is None or not cell.strip():
        return []
    try:
        return json.loads(cell)
    except ValueError:
        raise _Unusable(f"column {name!r} holds no list of turns") from None
