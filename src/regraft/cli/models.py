"""``regraft models``: what can be used here, offline ones first."""

from __future__ import annotations

from dataclasses import asdict

from regraft.cli import options
from regraft.cli.console import emit_json, say, table
from regraft.errors import RequestError, suggest
from regraft.spec import FORMS


def run(task: options.Task = None, json: options.Json = False) -> None:
    """Models that can be used here, offline ones first."""
    from regraft.trunk.catalogue import available

    if task and task not in FORMS:
        raise RequestError(f"--task {task}", "no such task", suggest(task, FORMS))
    form = FORMS[task] if task else None
    speaks = form is not None and form.parts == "turns"  # such a task is for decoders alone
    found = [model for model in available() if form is None or (form.kind == model.kind and (model.speaks or not speaks))]
    if json:
        return emit_json({"schema": 1, "models": [asdict(model) for model in found]})
    rows = [
        [m.reference, m.kind, f"{m.parameters / 1e6:.1f} M" if m.parameters else "", "yes" if m.offline else "needs the hub", m.note]
        for m in found
    ]
    say(table(["model", "input", "parameters", "offline", "note"], rows, right=[2]))
    say(
        "\nalso: timm:NAME, torchvision:NAME, hf:NAME (weights from the hub when online), file:PATH, vectors:PATH (word vectors), module:package.function"
    )
