"""Texts are taken as they are typed. typer would ask pydantic what to do with each, and importing that takes longer than ``regraft log``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

PLAIN = (str, list[str])


class AsTyped:
    """What typer calls to make a value of what was typed."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple else None
        return list(value) if param.multiple else value


class Verb(TyperCommand):
    """A command whose text options need no pydantic."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            described = getattr(param, "type_descriptor", None)
            if described is not None and described.annotation in PLAIN and param.nargs == 1:
                _take(param)

    def get_help_option(self, ctx: Any) -> Any:
        return _take(super().get_help_option(ctx))


class Verbs(TyperGroup):
    """The table of them."""

    def get_help_option(self, ctx: Any) -> Any:
        return _take(super().get_help_option(ctx))


def _take(param: Any) -> Any:
    """``param``, its value left as it is; where this version of typer has no step for that, nothing is changed."""
    if hasattr(param, "get_runtime_param"):
        param.get_runtime_param = AsTyped
    return param
