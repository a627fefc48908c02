"""Small stores for the tests of this room."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from regraft.lineage import Generation, Store, TensorData


def numbers(*values: float) -> TensorData:
    return TensorData("float32", (len(values),), struct.pack(f"<{len(values)}f", *values))


def model(head: float = 1.0, trunk: float = 0.0) -> dict[str, TensorData]:
    """A trunk of two stages and a head, as bytes."""
    return {
        "host.stem.weight": numbers(trunk, 1, 2, 3),
        "host.block.weight": numbers(trunk, 5, 6, 7),
        "host.block.count": TensorData("int64", (), (7).to_bytes(8, "little")),
        "head.weight": numbers(head, head),
    }


def manifest(**more: Any) -> dict[str, Any]:
    plan = {"task": "text-classification", "strategy": "full", "settings": {"seed": 0}, "reasons": ["because"], "cost": {"time_s": 1.0}}
    return {"task": "text-classification", "plan": plan, "classes": ["a", "b"], "data": {"fingerprint": "f" * 64}, **more}


def tuned(store: Store, head: float, name: str = "tickets", parent: str | None = None, **more: Any) -> Generation:
    return store.add(manifest(**more), model(head), assets={"tokenizer.json": b"{}"}, name=name, parent=parent)


def objects(store: Store) -> list[Path]:
    """The files of tensors, in order of their names."""
    return sorted((Path(store.location) / "objects").glob("*.safetensors"))


def python(code: str, *arguments: str, folder: Path | None = None) -> str:
    """What a fresh process prints for this code, run with a store's folder and the arguments."""
    tests = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(tests)}
    with tempfile.TemporaryDirectory() as temporary:
        where = str(folder or Path(temporary) / "store")
        done = subprocess.run([sys.executable, "-c", code, where, *arguments], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
