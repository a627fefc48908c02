"""History and help answer without the heavy libraries, and texts arrive as they were typed."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer
from typer.testing import CliRunner

from regraft.cli.as_typed import Verb, Verbs


def test_log_and_help_import_neither_pydantic_nor_torch(tmp_path):
    script = """
import sys
from regraft.cli.__main__ import main
sys.argv = ["regraft", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
sys.exit(", ".join(name for name in ("pydantic", "torch", "numpy", "rich") if name in sys.modules) or 0)
"""
    for words in (["log", "--store", str(tmp_path)], ["--help"], ["tune", "--help"]):
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)


def test_a_plan_waits_for_nothing_that_trains_or_reports():
    script = """
import sys
import regraft.cli.plan, regraft.plan.explain, regraft.tune.conduct
needless = ("regraft.train.fit", "regraft.train.run", "regraft.tune.execute", "regraft.report", "regraft.serve", "regraft.tasks.segmentation", "pyarrow.parquet")
sys.exit(", ".join(name for name in needless if name in sys.modules) or 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_verb_that_is_typed_is_the_only_one_read():
    script = """
import sys
from regraft.cli.__main__ import main
sys.argv = ["regraft", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    print(ended.code, sorted(name for name in sys.modules if name in ("regraft.cli.log", "regraft.cli.tune")))
"""

    def said(*words):
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
        return done.stdout.splitlines()[-1], done.stderr

    assert said("log", "--help")[0] == "0 ['regraft.cli.log']"
    last, told = said("lgo")
    assert last == "2 ['regraft.cli.log', 'regraft.cli.tune']" and "log" in told


def test_texts_lists_and_numbers_arrive():
    app = typer.Typer(cls=Verbs)
    seen = []

    @app.command("verb", cls=Verb)
    def verb(name: str, set: Annotated[list[str] | None, typer.Option("--set")] = None, rate: float = 0.5, loud: bool = False) -> None:
        seen.append((name, set, rate, loud))

    @app.command("other", cls=Verb)
    def other() -> None: ...

    def call(*words):
        return CliRunner().invoke(app, ["verb", *words])

    assert call("a b", "--set", "x=1", "--set", "y=2", "--rate", "2", "--loud").exit_code == 0
    assert call("a").exit_code == 0
    assert seen[0] == ("a b", ["x=1", "y=2"], 2.0, True) and seen[1][0] == "a" and not seen[1][1]
    assert call().exit_code == 2 and call("a", "--rate", "fast").exit_code == 2
