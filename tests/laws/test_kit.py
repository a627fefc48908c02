"""The kit itself: every law of DESIGN 7 has a check, and all of it can be imported by name."""

from __future__ import annotations

import ast
from pathlib import Path

from regraft import testing

SHELF = Path(__file__).parent


def test_all_twelve_laws_have_a_check():
    assert sorted(testing.LAWS) == list(range(1, 13))


def test_every_public_name_of_the_kit_is_there():
    assert all(callable(getattr(testing, name)) or name in ("HOSTS", "LAWS") for name in testing.__all__)
    assert set(testing.__all__) == set(testing.PLACES)


def test_every_check_is_run_by_this_shelf_or_by_a_check_of_the_whole():
    whole = (Path(testing.__file__).parent / "kit.py").read_text(encoding="utf-8")
    used = whole + "".join(path.read_text(encoding="utf-8") for path in SHELF.glob("test_*.py") if path != Path(__file__))
    names = {node.func.id if isinstance(node.func, ast.Name) else node.func.attr
             for node in ast.walk(ast.parse(used.replace("from __future__ import annotations", "")))
             if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute))}  # fmt: skip
    assert {check.__name__ for checks in testing.LAWS.values() for check in checks} <= names


def test_no_file_of_the_kit_hides_a_name_of_its_surface():
    assert not set(testing.__all__) & {path.stem for path in Path(testing.__file__).parent.glob("*.py")}
