"""The documents of a run: what ``tune`` prints, and what the report page draws. Plain JSON, assembled and nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data import Split
from regraft.data.fields import row_of, written
from regraft.data.turns import prompt_of, readable, turns_of
from regraft.plan import explain
from regraft.plan.plan import Plan
from regraft.spec import PART
from regraft.tasks import Task
from regraft.train.history import History
from regraft.tune.job import Job
from regraft.tune.kept import IN_FILES
from regraft.tune.snippet import snippet

SCHEMA = 1
THUMBNAIL, IN_A_STRIP = 96, 144
"""The longer side of a small picture, by itself and beside others."""
BESIDE = ("the truth", "the answer")
"""What ``Task.pictures`` gives, in words."""
GAP = 3
"""Pixels between pictures that stand side by side."""
STEPS_SHOWN = 400
MISTAKES_SHOWN = 24
DRAWN = ("per_class", "confusion", "calibration", "samples", "scatter")
"""Parts of an ``evaluate`` document that a page draws."""
BETWEEN = {"one": "", "pair": " ‖ ", "words": " "}
"""What stands between the parts of an input where it is shown."""


def tune_document(generation: Mapping[str, Any], plan: Plan, job: Job, *, report: str) -> dict[str, Any]:
    """The ``tune`` document of DESIGN 4. ``generation``: the manifest as stored."""
    return {
        "schema": SCHEMA,
        "generation": generation["name"],
        "name": generation["name"],
        "digest": generation["digest"],
        "parent": generation["parent"],
        "task": plan.task,
        "model": plan.model,
        "strategy": plan.strategy,
        "plan": explain.document(plan, job.outline, num_classes=job.num_classes),
        "metrics": generation["metrics"],
        "cost": generation["cost"],
        "report": report,
        "warnings": generation["warnings"],
        **({"tasks": generation["tasks"]} if "tasks" in generation else {}),
    }


def report_document(
    tune: Mapping[str, Any], plan: Plan, job: Job, history: History, *, evaluation: Mapping[str, Any], errors: list[dict[str, Any]],
    command: str, manifest: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Everything that the page and the model card draw."""
    return {
        **tune,
        "command": command,
        "created": manifest["created"],
        "reasons": list(plan.reasons),
        "data": {
            **plan.data,
            "splits": {name: {"classes": job.dataset.counts(name), "num_examples": len(s)} for name, s in job.dataset.splits.items()},
        },
        "headline": job.task.headline,
        **{key: evaluation[key] for key in DRAWN if key in evaluation},
        **({"tasks": of_tasks(tune.get("tasks", []), evaluation["tasks"]), "weights": history.tasks} if "tasks" in evaluation else {}),
        "history": curves(history),
        "errors": errors,
        "forecast": plan.cost,
        "drift": history.drift,
        "events": history.events,
        "environment": manifest["environment"],
    }


def of_tasks(controlled: list[dict[str, Any]], evaluated: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each of several tasks what its evaluation says, and how it fares beside its controls."""
    beside = {row["name"]: row for row in controlled}
    return [{**beside.get(row["name"], {}), **row} for row in evaluated]


def curves(history: History) -> list[dict[str, Any]]:
    """Steps and epochs in order, thinned to what a curve can show; ``step`` counts through all phases."""
    starts = np.concatenate([[0], np.cumsum([phase.steps for phase in history.phases])])
    names = [phase.name for phase in history.phases]
    every = max(1, len(history.steps) // STEPS_SHOWN)
    rows = [
        {"step": int(starts[r.phase]) + r.step, "epoch": r.epoch, "phase": names[r.phase], "loss": r.loss, "lr": r.lr}
        for i, r in enumerate(history.steps)
        if i % every == 0 or i == len(history.steps) - 1
    ]
    rows += [
        {"step": int(starts[e.phase]) + e.step, "epoch": float(e.epoch), "phase": names[e.phase], "valid": e.valid}
        for e in history.epochs
        if e.valid
    ]
    return sorted(rows, key=lambda row: row["step"])


def errors_shown(task: Task, scores: NDArray[Any], split: Split, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The worst mistakes with their texts, small pictures, or sounds."""
    answers, targets = task.answers(scores), split.targets
    found = task.mistakes(answers, targets, classes, MISTAKES_SHOWN)
    inputs = split.inputs if found else []

    def picture(row: int) -> str:
        beside = task.pictures(answers[row], targets[row], inputs[row]) if task.pictures else []
        return thumbnail(Path(inputs[row]), beside)

    return [
        {
            "input": input_shown(inputs[mistake.row], task, split),
            "image": picture(mistake.row) if task.kind == "image" else None,
            **({"audio": snippet(inputs[mistake.row])} if task.kind == "audio" else {}),
            **({"beside": list(BESIDE), "colours": colours(task)} if task.pictures else {}),
            "label": mistake.label,
            "predicted": mistake.predicted,
            "probability": mistake.probability,
        }
        for mistake in found
    ]


def colours(task: Task) -> dict[str, str]:
    """Class -> the colour that it has in pictures, as #rrggbb."""
    facts = task.facts
    return {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in zip(facts["classes"], facts["colours"], strict=True)}


def input_shown(given: str, task: Task, split: Split) -> str:
    """An input in words: the name of a file, the parts of a text, or what was said before the last answer."""
    if split.parts == "turns":
        turns = turns_of(given)
        return readable(prompt_of(turns) or turns)
    if split.parts == "row":
        return written(row_of(given))
    return Path(given).name if task.kind in IN_FILES else given.replace(PART, BETWEEN[split.parts])


def thumbnail(path: Path, beside: Sequence[NDArray[np.uint8]] = ()) -> str:
    """A small JPEG as a data URI; the pictures ``beside`` (h, w, 3) stand to the right of the image, as large as it."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        small = ImageOps.exif_transpose(image).convert("RGB")
        small.thumbnail((IN_A_STRIP, IN_A_STRIP) if beside else (THUMBNAIL, THUMBNAIL))
    strip = Image.new("RGB", ((small.width + GAP) * (1 + len(beside)) - GAP, small.height), "white")
    strip.paste(small, (0, 0))
    for place, pixels in enumerate(beside, start=1):
        strip.paste(Image.fromarray(pixels).resize(small.size, Image.Resampling.NEAREST), (place * (small.width + GAP), 0))
    buffer = io.BytesIO()
    strip.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
