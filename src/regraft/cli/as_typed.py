"""Texts are taken as they are typed, and what was not typed is left alone. typer would ask pydantic what to do with each, and importing that takes longer
than ``regraft log``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand, TyperGroup

PLAIN = (str, list[str])


class AsTyped:
    """What typer calls to make a value of what was typed. ``usual``: gives typer's own way, for a value that is no text."""

    def __init__(self, usual: Callable[[], Any], *, is_text: bool) -> None:
        self._usual, self._is_text = usual, is_text

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple else None
        if not self._is_text:
            return self._usual().coerce(value, param=param, ctx=ctx)
        return list(value) if param.multiple else value


class Verb(TyperCommand):
    """A command that needs pydantic only for a number that was typed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            described = getattr(param, "type_descriptor", None)
            if described is not None and param.nargs == 1:
                _take(param, is_text=described.annotation in PLAIN)

    def get_help_option(self, ctx: Any) -> Any:
        return _take(super().get_help_option(ctx))


class Verbs(TyperGroup):
    """The table of them."""

    def get_help_option(self, ctx: Any) -> Any:
        return _take(super().get_help_option(ctx))


def _take(param: Any, *, is_text: bool = True) -> Any:
    """``param``, its value left as it is where it is a text; where this version of typer has no step for that, nothing is changed."""
    if hasattr(param, "get_runtime_param"):
        taken = AsTyped(param.get_runtime_param, is_text=is_text)
        param.get_runtime_param = lambda: taken
    return param
