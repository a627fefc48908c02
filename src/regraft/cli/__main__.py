"""``regraft VERB``: the literal table of verbs. Parse, call, show; errors become exit codes here and nowhere else."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import typer

from regraft.cli.as_typed import Verb, Verbs
from regraft.cli.console import emit_json, note
from regraft.errors import RegraftError

VERBS = {
    "demo": "regraft.cli.demo",
    "check": "regraft.cli.check",
    "models": "regraft.cli.models",
    "plan": "regraft.cli.plan",
    "tune": "regraft.cli.tune",
    "grow": "regraft.cli.grow",
    "edit": "regraft.cli.edit",
    "distill": "regraft.cli.distill",
    "merge": "regraft.cli.merge",
    "evaluate": "regraft.cli.evaluate",
    "predict": "regraft.cli.predict",
    "log": "regraft.cli.log",
    "show": "regraft.cli.show",
    "diff": "regraft.cli.diff",
    "tag": "regraft.cli.tag",
    "rollback": "regraft.cli.rollback",
    "gc": "regraft.cli.gc",
    "export": "regraft.cli.export",
    "import": "regraft.cli.import_bundle",
    "report": "regraft.cli.report",
}


def application(*only: str) -> typer.Typer:
    """Every verb, or ``only`` these; their modules import nothing heavy until they are called."""
    app = typer.Typer(
        cls=Verbs,
        help="Fine-tune pretrained models: a plan you can read, frozen parts computed once, results with intervals.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # rich doubles the start-up time of --help
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for verb in only or VERBS:
        app.command(verb, cls=Verb)(import_module(VERBS[verb]).run)
    app.callback()(_options)
    return app


def _options(
    version: bool = typer.Option(False, "--version", help="print the version", is_eager=True, callback=lambda wanted: _version(wanted)),
) -> None:
    """Fine-tune pretrained models: a plan you can read, frozen parts computed once, results with intervals."""


def _version(wanted: bool) -> None:
    if wanted:
        from regraft import __version__

        sys.stdout.write(f"regraft {__version__}\n")
        raise typer.Exit


def main() -> None:
    typed = sys.argv[1:2]
    try:
        application(*(typed if typed and typed[0] in VERBS else ()))()
    except RegraftError as error:
        if "--json" in sys.argv:
            emit_json({"schema": 1, "error": {"asked": error.asked, "found": error.found, "try": error.advice}})
        note(f"regraft: {type(error).__name__}\n{error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        note("regraft: stopped by Ctrl-C")
        sys.exit(130)
    except BrokenPipeError:  # the reader, say `head`, has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
