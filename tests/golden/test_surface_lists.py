"""The option surface as lists: adding an option is a visible act."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args, get_type_hints

import typer.main
from typer.testing import CliRunner

from golden import matches
from regraft.cli.__main__ import VERBS, application
from regraft.plan.settings import Settings

MOST_OPTIONS = 74
"""DESIGN 3: about 60 options in all, so that somebody can hold them in their head."""


def commands():
    return {name: command for name, command in typer.main.get_command(application()).commands.items()}


def test_every_option_of_every_verb_is_listed():
    lines, distinct = [], set()
    for name, command in commands().items():
        for parameter in command.params:
            is_argument = parameter.param_type_name == "argument"
            names = parameter.name.upper() if is_argument else " ".join([*parameter.opts, *parameter.secondary_opts])
            distinct |= set() if is_argument else {max(parameter.opts, key=len)}
            lines.append(f"{name:<10} {names}")
    assert len(distinct) + len(fields(Settings)) <= MOST_OPTIONS
    assert set(commands()) == set(VERBS)
    matches("options.txt", "\n".join(lines) + "\n")


def test_every_setting_is_listed():
    hints = get_type_hints(Settings)
    kinds = {
        name: "|".join(map(str, get_args(hint))) if "Literal" in str(hint) else getattr(hint, "__name__", str(hint))
        for name, hint in hints.items()
    }
    lines = [f"{field.name:<16} {kinds[field.name]:<24} {field.default!r}" for field in fields(Settings)]
    matches("settings.txt", "\n".join(lines) + "\n")


def test_the_help_is_as_written():
    shown = CliRunner().invoke(
        application(), ["--help"], env={"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}, prog_name="regraft"
    )
    assert shown.exit_code == 0, shown.output
    matches("help.txt", "\n".join(line.rstrip() for line in shown.output.strip().splitlines()) + "\n")
