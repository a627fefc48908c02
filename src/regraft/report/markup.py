"""HTML and SVG as nested calls. Every text is escaped on its way in; only what came out of here goes in unescaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "img", "meta", "col", "line", "rect", "circle", "path", "polyline"})
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | float | None | Iterable["Child"]
Attribute = str | float | bool | None


def el(tag: str, *children: Child, **attributes: Attribute) -> Html:
    """``el("td", "a < b", class_="name")`` is ``<td class="name">a &lt; b</td>``.

    Children may be nested in lists; ``None`` is nothing. In attribute names a last ``_`` falls away and other ``_`` become ``-``;
    ``None`` and ``False`` leave an attribute out, ``True`` writes it bare.
    """
    opening = tag + "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID and not children:
        return Html(f"<{opening}/>")
    return Html(f"<{opening}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """The children one after the other, without an element around them."""
    return Html("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return escape(printable(child))
    if isinstance(child, int | float):
        return str(child)
    return join(*child)


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {written}"
    shown = f"{value:.6g}" if isinstance(value, float) else escape(printable(str(value)))
    return f' {written}="{shown}"'


def printable(text: str) -> str:
    """Control characters and halves of surrogate pairs, which no page may hold, become the replacement character."""
    return UNPRINTABLE.sub("\ufffd", text)
