"""Many options of one verb as one mapping, so that no function has to take them one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from typing import Any

Option = tuple[Any, Any]
"""An annotation as typer reads it, and the default."""


def gathered(known: Mapping[str, Option]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb the options ``known`` (name -> annotation and default) in the place of its parameter ``given``, where it finds what was typed."""

    def decorate(run: Callable[..., None]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            run(given={name: values.pop(name) for name in known}, **values)

        parameters: list[Parameter] = []
        for name, parameter in signature(run, eval_str=True).parameters.items():
            own = [Parameter(key, Parameter.KEYWORD_ONLY, default=default, annotation=kind) for key, (kind, default) in known.items()]
            parameters += own if name == "given" else [parameter.replace(kind=Parameter.KEYWORD_ONLY)]
        setattr(command, "__signature__", Signature(parameters))  # noqa: B010  typer reads the options from here
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__doc__, command.__name__ = run.__doc__, run.__name__
        return command

    return decorate
