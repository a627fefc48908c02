"""Laws of a task: what its functions promise each other, on made-up answers to made-up targets of its form.

examples     losses are one number for each example, and those of a batch are those of its parts
truth        a network that answers the truth is measured, compared and judged as one that does
facts        what the task knows about its data, and all it says, is JSON; bound to its own facts it is the same task
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.data import arrays
from regraft.data.encoded import IGNORE
from regraft.data.language import REJECTED
from regraft.spec import FORMS, LOWER_IS_BETTER, METRICS, OF_TASK, PART, Form, Target
from regraft.tasks import Task, of
from regraft.testing.law import law

EXAMPLES, CLASSES, LENGTH = 12, 3, 5
SURE = 12.0
"""Logit of what is true."""
FACTS: dict[str, dict[str, Any]] = {
    "class": {}, "level": {"levels": [1.0, 2.0, 4.0]}, "number": {"mean": 5.0, "std": 2.0}, "set": {"thresholds": [0.5] * CLASSES},
    "text": {"mean_tokens": 2.5}, "preference": {},
    "tags": {"scheme": "BIO", "mean_words": float(LENGTH), "classes": ["O", "B-a", "I-a"]},
    "transcript": {"classes": ["a", "b", "c"], "mean_characters": 2.5},
    "mask": {"classes": ["a", "b", "c"], "values": [[0], [1], [2]], "ignore": [9], "mode": "grey", "colours": [[0, 0, 0], [9, 0, 0], [0, 9, 0]]},
}  # fmt: skip
SHOWN = {"pair": f"a{PART}b", "row": '{"a": "b"}'}
"""An input, by the parts that it has."""
BESIDE: tuple[Target, ...] = ("class", "number")
"""Forms of the targets of several tasks, where the package has a task of each."""
NAMES = {"number": ("value",), "level": ("1", "2", "4"), "tags": ("O", "B-a", "I-a")}


def check_task(task: Task | str, *, facts: dict[str, Any] | None = None) -> dict[str, int]:
    """The laws over one task; how many examples each looked at. ``facts``: what it has to know, where the usual ones do not do."""
    named = of(task) if isinstance(task, str) else task
    made = named.bound(usual_facts(named.form) if facts is None else facts)
    classes = NAMES.get(made.form.target, ("a", "b", "c"))
    logits, batch, targets = truth(made, np.random.default_rng(0))
    return {
        "losses": _losses(made, logits, batch),
        "answers": _answers(made, logits, batch, targets, classes),
        "facts": _facts(made, logits, batch, targets, classes),
    }


def usual_facts(form: Form) -> dict[str, Any]:
    """What a task of this form knows here of its data."""
    if form.target != "several":
        return FACTS[form.target]
    found = [name for name, known in FORMS.items() if known in [replace(form, target=target) for target in BESIDE]]
    tasks = [{"name": f"task {place}", "task": name, "classes": list(NAMES.get(FORMS[name].target, ("a", "b", "c"))), "facts": FACTS[FORMS[name].target]}
             for place, name in enumerate([*found, found[0]])]  # fmt: skip
    return {"tasks": tasks}


def truth(task: Task, chance: np.random.Generator) -> tuple[Tensor, Tensor, np.ndarray]:
    """Logits of a network that is right and sure of it, the targets as its loss takes them, and as they are measured against."""
    kind = task.form.target
    if kind == "several":
        made = [truth(member.task, chance) for member in task.members]
        whole = np.concatenate([targets.reshape(EXAMPLES, -1).astype(np.float32) for _, _, targets in made], 1)
        whole[0, -1] = np.nan  # an example without a target of the last task
        return torch.cat([logits.float() for logits, _, _ in made], 1), torch.from_numpy(whole), whole
    drawn = np.arange(EXAMPLES) % CLASSES
    if kind == "number":
        numbers = chance.normal(5, 2, EXAMPLES).astype(np.float32)
        return torch.from_numpy((numbers[:, None] - 5) / 2), torch.from_numpy(numbers), numbers
    if kind == "set":
        flags = (chance.random((EXAMPLES, CLASSES)) < 0.5).astype(np.float32)
        return torch.from_numpy(SURE * (2 * flags - 1)), torch.from_numpy(flags), flags
    if kind == "level":
        above = drawn[:, None] > np.arange(CLASSES - 1)
        return torch.from_numpy(SURE * (2.0 * above - 1)).float(), torch.from_numpy(drawn), drawn
    if kind == "tags":
        words = [np.array([1, 2, 0, 1][: 1 + row % 4]) for row in range(EXAMPLES)]
        batch = torch.full((EXAMPLES, LENGTH), IGNORE)
        for row, tags in enumerate(words):
            batch[row, 1 : 1 + len(tags)] = torch.from_numpy(tags)
        logits = SURE * torch.nn.functional.one_hot(batch.clamp(min=0), CLASSES).float()
        return logits, batch, arrays.ragged(words)
    if kind in ("text", "preference"):
        return _said(kind, drawn)
    if kind == "transcript":
        texts = [np.array([0, 1, 0, 2][: 1 + row % 4]) for row in range(EXAMPLES)]
        batch, frames = torch.full((EXAMPLES, LENGTH), IGNORE), torch.full((EXAMPLES, LENGTH), CLASSES)
        for row, text in enumerate(texts):
            batch[row, : len(text)] = frames[row, : len(text)] = torch.from_numpy(text)
        return SURE * torch.nn.functional.one_hot(frames, CLASSES + 1).float(), batch, arrays.ragged(texts)
    if kind == "mask":
        marks = chance.integers(0, CLASSES, (EXAMPLES, LENGTH, LENGTH))
        pixels = torch.from_numpy(marks)
        logits = SURE * torch.nn.functional.one_hot(pixels, CLASSES).permute(0, 3, 1, 2).float()
        batch = pixels.clone()
        batch[:, 0, 0] = IGNORE
        return logits, batch, arrays.ragged([*marks.astype(np.uint8)])
    return SURE * torch.nn.functional.one_hot(torch.from_numpy(drawn), CLASSES).float(), torch.from_numpy(drawn), drawn


def _said(kind: str, drawn: np.ndarray) -> tuple[Tensor, Tensor, np.ndarray]:
    """The same for a language model: answers of different lengths, or a better and a worse answer of one token."""
    batch = torch.full((EXAMPLES, LENGTH), IGNORE)
    if kind == "text":
        for row in range(EXAMPLES):
            batch[row, : 1 + row % 4] = torch.tensor([1, 2, 0, 1])[: 1 + row % 4]
        logits = SURE * torch.nn.functional.one_hot(batch.clamp(min=0), CLASSES).float()
        return logits, batch, np.array(["an answer"] * EXAMPLES, dtype=object)
    batch[:, 0], batch[:, 2] = torch.from_numpy(drawn), REJECTED - torch.from_numpy((drawn + 1) % CLASSES)
    said = torch.from_numpy(np.repeat(drawn[:, None], LENGTH, 1))
    return SURE * torch.nn.functional.one_hot(said, CLASSES).float(), batch, np.zeros((EXAMPLES, 2), np.float32)


def _losses(task: Task, logits: Tensor, batch: Tensor) -> int:
    leaf = (0.1 * logits).clone().requires_grad_(True)
    losses = task.losses(leaf, batch, label_smoothing=0.0)
    law(losses.shape == (len(batch),), f"{task.name}: losses have shape {tuple(losses.shape)} for {len(batch)} examples")
    law(bool(torch.isfinite(losses).all()), f"{task.name}: a loss is not finite")
    alone = torch.cat([task.losses(leaf[i : i + 1], batch[i : i + 1], label_smoothing=0.0) for i in range(len(batch))])
    law(torch.allclose(losses, alone, atol=1e-6), f"{task.name}: an example's loss depends on the others in its batch")
    total = losses.sum()
    total.backward()
    law(leaf.grad is not None and bool(leaf.grad.any()), f"{task.name}: no gradient comes from its loss")
    law(
        float(task.losses(logits, batch, label_smoothing=0.0).sum()) < float(total.detach()),
        f"{task.name}: the truth costs more than a guess",
    )
    return len(batch)


def _scores(task: Task, logits: Tensor, batch: Tensor) -> np.ndarray:
    kept = task.kept(logits, batch)
    return arrays.ragged(kept) if isinstance(kept, list) else kept.numpy()


def _answers(task: Task, logits: Tensor, batch: Tensor, targets: np.ndarray, classes: tuple[str, ...]) -> int:
    right = task.answers(_scores(task, logits, batch))
    wrong = task.answers(_scores(task, logits.flip(0), batch))
    document = task.document(right, targets, classes)
    found = document["metrics"]
    law(
        task.headline in found and {name.rpartition(OF_TASK)[2] for name in found} <= set(METRICS),
        f"{task.name}: {set(found) - set(METRICS) or task.headline} is no known metric",
    )
    values = task.watched(_scores(task, logits, batch), targets)
    law(abs(values[task.headline] - found[task.headline]["value"]) < 1e-9, f"{task.name}: what training watches is not what is reported")
    value = found[task.headline]["value"]
    ideal = 0.0 if task.headline in LOWER_IS_BETTER - {"perplexity"} else 1.0
    law(abs(value - ideal) < 0.01, f"{task.name}: the truth is measured as {found[task.headline]['value']:.3f}")
    better, worse = task.quality(right, targets), task.quality(wrong, targets)
    law(
        bool((better >= worse).all()) and bool((better > worse).any()),
        f"{task.name}: a wrong answer is of better quality than the right one",
    )
    law(
        not task.mistakes(right, targets, classes, 5) or task.form.target in ("number", "several"),
        f"{task.name}: the truth is listed as a mistake",
    )
    law(len(task.mistakes(wrong, targets, classes, 5)) > 0, f"{task.name}: wrong answers are not listed")
    law(task.compare(right, right, targets, classes).verdict == "tie", f"{task.name}: a model is not as good as itself")
    law(task.compare(wrong, right, targets, classes).verdict != "better", f"{task.name}: wrong answers are called better")
    return len(targets)


def _facts(task: Task, logits: Tensor, batch: Tensor, targets: np.ndarray, classes: tuple[str, ...]) -> int:
    scores = _scores(task, logits, batch)
    settled = task.settle(scores, targets) if task.settle else {}
    facts = json.loads(json.dumps({**task.facts, **settled}))
    again = task.bound(facts).bound(facts)
    law(dict(again.facts) == facts and again.name == task.name, f"{task.name}: bound to its facts it forgets them")
    joined = [
        PART.join(["w"] * len(row)) if task.form.parts == "words" else SHOWN.get(task.form.parts, "a")
        for row in map(np.atleast_1d, targets)
    ]
    predictions = again.predictions(again.answers(scores), classes, joined)
    law(
        len(predictions) == len(targets) and all("input" in row for row in predictions),
        f"{task.name}: a prediction is missing or has no input",
    )
    json.dumps([predictions, again.document(again.answers(scores), targets, classes)])
    return len(predictions)
