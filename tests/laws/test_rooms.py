"""Who may import whom (DESIGN 3): a room imports only rooms with a smaller number, inside functions too."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src" / "regraft"
ORDER = {
    "errors": 0, "spec": 0, "digest": 0,
    "trunk": 1, "data": 1, "lineage": 1,
    "surgery": 2, "cache": 2, "evaluate": 2, "report": 2,
    "plan": 3, "tasks": 3,
    "advise": 4, "train": 4, "serve": 4,
    "tune": 5, "testing": 5,
    "race": 6, "grow": 6,
    "cli": 7, "studio": 7,
}  # fmt: skip
FORBIDDEN = {("evaluate", "surgery"), ("train", "lineage"), ("serve", "plan"), ("serve", "train"), ("plan", "tasks"), ("trunk", "plan")}
TORCH_FREE = {"errors", "spec", "digest", "lineage", "report", "plan", "cli"}


def room(path: Path) -> str:
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Full dotted names that a file imports, wherever in the file."""
    names: set[str] = set()
    here = ("regraft", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = here[: len(here) - node.level + 1] if node.level else ()
            module = ".".join((*stem, *([node.module] if node.module else [])))
            names.update({f"{module}.{alias.name}" for alias in node.names} if module == "regraft" else {module})
    return names


def files() -> list[Path]:
    found = [path for path in sorted(ROOT.rglob("*.py")) if path not in (ROOT / "__init__.py", ROOT / "__main__.py")]
    assert len(found) > 25, "the package moved: this test looks at nothing"
    return found


def test_every_room_is_in_the_table():
    assert {room(path) for path in files()} <= set(ORDER)


def test_a_room_imports_only_smaller_numbers():
    against = [
        f"{path.relative_to(ROOT)} -> {name}"
        for path in files()
        for name in imported(path)
        if name.startswith("regraft.") and (other := name.split(".")[1]) != room(path) and other in ORDER
        if ORDER[other] >= ORDER[room(path)] or (room(path), other) in FORBIDDEN
    ]
    assert against == []


def top_level_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names} | {
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module
    }


def test_history_and_plans_never_import_torch_at_the_top():
    heavy = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files()
        if room(path) in TORCH_FREE
        for name in top_level_imports(path)
        if name.split(".")[0] in {"torch", "timm", "transformers", "peft", "datasets", "sklearn"}
    ]
    assert heavy == []
