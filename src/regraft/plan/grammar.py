"""How strategies and objectives are typed: ``name(key=value, ...)+name``. Values are Python literals or bare words, so that nobody has
to quote inside a shell; what ``typed`` writes, ``terms`` reads back as the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.errors import PlanError

BARE_WORD = re.compile(r"[\w.:*-]+")


@dataclass(frozen=True, slots=True)
class Term:
    """One ``name(...)``: its name as typed, the values without a key, and those with one."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def terms(text: str, *, what: str) -> list[Term]:
    """The terms of ``text``, split at ``+`` outside brackets. ``what``: the word for one of them in an error."""
    return [_term(part, what) for part in _split(text)]


def typed(name: str, options: Mapping[str, Any]) -> str:
    """``name(key=value, ...)`` as a person types it; the name alone where there is nothing to say."""
    return f"{name}({', '.join(f'{key}={_typed(value)}' for key, value in options.items())})" if options else name


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "+" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _term(text: str, what: str) -> Term:
    name, _, rest = text.partition("(")
    if rest and not rest.endswith(")"):
        raise PlanError(f"{what} {text!r}", "a bracket is open", f"{text})")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in _arguments(rest[:-1]))):
        key, equals, value = part.partition("=")
        if equals:
            kwargs[key.strip()] = _value(value.strip())
        else:
            args.append(_value(part))
    return Term(name.strip(), tuple(args), kwargs)


def _arguments(text: str) -> list[str]:
    """Split at commas outside quotes and brackets."""
    parts, quote, depth = [""], "", 0
    for letter in text:
        if quote or letter in "'\"":
            quote = "" if letter == quote else quote or letter
        else:
            depth += (letter in "[(") - (letter in "])")
        if letter == "," and not quote and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _typed(value: Any) -> str:
    """A bare word where that is safe, else a literal."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(repr(item) for item in value)}]"
    return value if isinstance(value, str) and BARE_WORD.fullmatch(value) and _value(value) == value else repr(value)


def _value(text: str) -> Any:
    """A Python literal, else the bare word itself (or a list of them)."""
    text = text.strip()
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return [_value(part) for part in _arguments(text[1:-1])] if text[:1] == "[" and text[-1:] == "]" else text
