"""Surgery: the only room that changes modules. Heads, LoRA and adapters stand in the cells of a plan; edits of the structure come before it.

    from regraft import surgery

    network = surgery.Network(trunk, head)
    records = surgery.operate(network, [surgery.Step(surgery.Drop(), "blocks.2,blocks.3")])
    surgery.take_back(network, records)                        the same modules, the same bytes

Names are loaded when first used: specs and steps need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PLACES = {
    "Adapter": "surgery.specs", "Lora": "surgery.specs", "edit_from_json": "surgery.specs", "edit_json": "surgery.specs",
    "Deepen": "surgery.structure", "Drop": "surgery.structure", "Insert": "surgery.structure", "Prune": "surgery.structure", "Quantize": "surgery.structure",
    "Replace": "surgery.structure", "Widen": "surgery.structure", "Step": "surgery.steps",
    "EditRecord": "surgery.edits", "apply": "surgery.edits", "merge": "surgery.edits", "rebuild": "surgery.edits", "undo": "surgery.edits",
    "Network": "trunk.network", "operate": "surgery.operation", "take_back": "surgery.operation",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"regraft.{PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(PLACES)
