"""What importing costs and promises: few public names, no side effects, no torch where history and help are read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_rooms import ROOT, TORCH_FREE, files, room

import regraft as rg
from regraft.cli.__main__ import VERBS

MOST_NAMES = 40
QUIET = """
import logging, os, sys
from importlib import import_module
for library in ("torch", "torchvision", "timm", "transformers", "peft", "accelerate", "datasets", "sklearn", "typer", "rich"):
    import_module(library)
before, handlers = dict(os.environ), list(logging.getLogger().handlers)
for name in sys.argv[1:]:
    import_module(name)
    assert dict(os.environ) == before, f"{name} changes the environment"
    assert logging.getLogger().handlers == handlers, f"{name} installs a handler of logging"
"""
TORCHLESS = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
    assert "torch" not in sys.modules, f"{name} imports torch"
"""
VERB = """
import sys
from regraft.cli.__main__ import VERBS, main
for words in [["--help"], *([verb, "--help"] for verb in VERBS), ["log", "--store", sys.argv[1]]]:
    sys.argv = ["regraft", *words]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, words
    heavy = {"torch", "transformers", "timm", "sklearn", "datasets", "peft"} & set(sys.modules)
    assert not heavy, f"regraft {' '.join(words)} imports {heavy}"
print("verbs:", len(VERBS))
"""


def names(paths: list[Path]) -> list[str]:
    dotted = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [name for name in dotted if not name.endswith("__main__")]


def clean(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``code`` in a process of its own, which must end well and say nothing on stderr."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    return done


def test_the_public_surface_is_a_short_list():
    assert len(rg.PUBLIC) <= MOST_NAMES
    assert set(rg.PUBLIC) < set(dir(rg))


@pytest.mark.parametrize("name", sorted(rg.PUBLIC))
def test_every_public_name_is_there(name):
    found = getattr(rg, name)
    assert callable(found)
    assert getattr(found, "__doc__", None), f"rg.{name} says nothing about itself"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'tunne'"):
        rg.tunne  # noqa: B018  the access is the test


def test_every_module_imports_without_a_word_or_a_trace():
    every = names(files())
    assert len(every) > 150
    done = clean(QUIET, *every)
    assert (done.stdout, done.stderr) == ("", "")


def test_history_plans_and_verbs_import_no_torch():
    light = names([path for path in files() if room(path) in TORCH_FREE])
    assert len(light) > 50
    clean(TORCHLESS, *light)


def test_help_and_log_import_nothing_heavy(tmp_path):
    done = clean(VERB, str(tmp_path / "store"))
    assert f"verbs: {len(VERBS)}" in done.stdout
    assert not (tmp_path / "store").exists(), "reading the history makes nothing"
