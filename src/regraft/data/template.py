"""The text that a model reads of a conversation, piece by piece, and which pieces it learns to say.

The tokenizer's own chat template is used where it has one. Else the plain one:

    ### System:
    Be brief.

    ### User:
    Is it raining?

    ### Assistant:
    Yes.<eos>

What is learned is underlined by nothing here and marked in ``regraft plan``: the answers and the token that ends each of them. Pieces are tokenised one by
one, so that a prompt has in training the very tokens that it has when the model is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from regraft.data.turns import LEARNED, Turn
from regraft.errors import RequestError

Piece = tuple[str, bool]
"""(text, is it learned?)"""
HEADINGS = {"system": "System", "tools": "Tools", "user": "User", "assistant": "Assistant", "call": "Assistant", "tool": "Tool"}
CALL = "Call: "
"""Before a function call, in the model's turn."""


def pieces(turns: Sequence[Turn], tokenizer: Any) -> list[Piece]:
    """``turns`` with the answers of the model to learn. Raises ``RequestError`` where the tokenizer's template refuses them."""
    if turns and turns[0][0] == "text":
        return [(_first(tokenizer), False), (turns[0][1] + (tokenizer.eos_token or ""), True)]
    return _own(turns, tokenizer) if tokenizer.chat_template else _plain(turns, tokenizer)


def prompt(turns: Sequence[Turn], tokenizer: Any) -> str:
    """``turns`` up to where the model begins to speak."""
    if turns and turns[0][0] == "text":
        return _first(tokenizer) + turns[0][1]
    if tokenizer.chat_template:
        return _rendered(turns, tokenizer, asks=True)
    return "".join(text for text, _ in _plain(turns, tokenizer)) + "\n\n" * bool(turns) + _heading("assistant")


def name_of(tokenizer: Any) -> str:
    """Which template is used, in words."""
    return "the tokenizer's own chat template" if tokenizer.chat_template else "the plain template (### User: ... ### Assistant: ...)"


def _first(tokenizer: Any) -> str:
    """The token that a text begins with, where the tokenizer puts one there."""
    start = tokenizer("", verbose=False)["input_ids"][:1]
    return tokenizer.bos_token if tokenizer.bos_token_id is not None and start == [tokenizer.bos_token_id] else ""


def _heading(role: str) -> str:
    return f"### {HEADINGS[role]}:\n"


def _plain(turns: Sequence[Turn], tokenizer: Any) -> list[Piece]:
    found: list[Piece] = [(_first(tokenizer), False)]
    for place, (role, said) in enumerate(turns):
        found.append((("\n\n" if place else "") + _heading(role), False))
        learned = role in LEARNED
        text = CALL + said if role == "call" else said
        found.append((text + (tokenizer.eos_token or "") if learned else text, learned))
    return _joined(found)


def _own(turns: Sequence[Turn], tokenizer: Any) -> list[Piece]:
    """The whole text as the template writes it, cut where answers begin and end.

    An answer is what the template adds to the turns before it and its call to speak; of a template that writes earlier turns otherwise once later ones
    have come, the words of the answer themselves.
    """
    whole = _rendered(turns, tokenizer)
    found: list[Piece] = []
    at = 0
    for place, (role, said) in enumerate(turns):
        if role not in LEARNED:
            continue
        before, behind = _rendered(turns[:place], tokenizer, asks=True), _rendered(turns[: place + 1], tokenizer)
        steady = whole.startswith(before) and whole.startswith(behind) and len(behind) > len(before) >= at
        start = len(before) if steady else whole.find(said, at)
        if start < 0:
            continue
        end = _end(whole, start, len(behind) if steady else start + len(said), tokenizer.eos_token or "")
        found += [(whole[at:start], False), (whole[start:end], True)]
        at = end
    return _joined([*found, (whole[at:], False)] if at < len(whole) and not whole[at:].isspace() else found) or [(whole, False)]


def _end(whole: str, start: int, end: int, eos: str) -> int:
    """Where an answer ends: behind the token that says so, where there is one, and before what the template writes behind that."""
    if not eos:
        return end
    last = whole.rfind(eos, start, end)
    if last >= 0:
        return last + len(eos)
    return end + len(eos) if whole.startswith(eos, end) else end


def _rendered(turns: Sequence[Turn], tokenizer: Any, *, asks: bool = False) -> str:
    from jinja2 import TemplateError

    tools = next((_json(said) for role, said in turns if role == "tools"), None)
    messages = [_message(role, said) for role, said in turns if role != "tools"]
    if not messages:
        return ""
    try:
        text: str = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=asks)
    except (TemplateError, TypeError) as error:
        roles = ", ".join(role for role, _ in turns)
        raise RequestError("write a conversation by the tokenizer's chat template", f"it refuses the turns {roles}: {error}",
                           "conversations of the form that the model was made for, or another model") from error  # fmt: skip
    return text


def _message(role: str, said: str) -> dict[str, Any]:
    call = _json(said) if role == "call" else None
    if isinstance(call, dict) and "name" in call:
        return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}
    return {"role": "assistant" if role == "call" else role, "content": said}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _joined(found: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece, empty ones left out."""
    made: list[Piece] = []
    for text, learned in found:
        if made and made[-1][1] == learned:
            made[-1] = (made[-1][0] + text, learned)
        elif text:
            made.append((text, learned))
    return made
