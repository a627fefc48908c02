"""Which of two answers is the better one, learned by a language model from pairs.

A pair is one row of two segments that do not see each other. What is kept of it are the log probabilities of both answers; the truth that they are
measured against are those that the model gave before training, the reference. ``dpo`` (``train.objectives.dpo``) is the objective that learns from both; without
any, the chosen answers are learned as conversations are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.encoded import IGNORE
from regraft.data.language import REJECTED
from regraft.evaluate import language as metrics
from regraft.evaluate.bootstrap import Statistic
from regraft.spec import FORMS
from regraft.tasks import language
from regraft.tasks.task import Mistake, Task

NAME = "preference"


def log_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, 2) of the chosen and of the rejected answer, summed over their tokens; ``targets`` (B, L) as ``data.language`` lays a pair."""
    chosen, rejected = targets >= 0, targets <= REJECTED
    return -torch.stack([language.costs(logits, targets, chosen), language.costs(logits, REJECTED - targets, rejected)], 1)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) the cost of the chosen answer's tokens, in the mean."""
    chosen = (targets >= 0) & (targets != IGNORE)
    return language.costs(logits, targets, chosen, label_smoothing) / chosen.sum(1).clamp(min=1)


def collect(logits: Tensor, targets: Tensor) -> list[NDArray[Any]]:
    """For each pair (3,) float64: the log probabilities of both answers, and the tokens of the chosen one."""
    found = log_probabilities(logits, targets.to(logits.device)).cpu().double()
    return list(torch.cat([found, (targets >= 0).sum(1, keepdim=True).cpu().double()], 1).numpy())


def margins(answers: NDArray[np.float64], targets: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) how much more the chosen answer has gained over the reference (n, 2) than the rejected one."""
    gained = answers[:, :2] - np.asarray(targets, np.float64)
    return np.asarray(gained[:, 0] - gained[:, 1])


def statistics(answers: NDArray[np.float64], targets: NDArray[np.floating], classes: Sequence[str]) -> dict[str, Statistic]:
    """``preference_accuracy``, and ``perplexity`` of the chosen answers."""
    return {
        "preference_accuracy": metrics.preference_accuracy(margins(answers, targets)),
        "perplexity": metrics.perplexity(-answers[:, 0], answers[:, 2]),
    }


def document(answers: NDArray[np.float64], targets: NDArray[np.floating], classes: Sequence[str]) -> dict[str, Any]:
    return metrics.document(statistics(answers, targets, classes), len(answers))


def mistakes(answers: NDArray[np.float64], targets: NDArray[Any], classes: Sequence[str], most: int) -> list[Mistake]:
    """Pairs whose rejected answer is the likelier one, the surest first."""
    gap = answers[:, 0] - answers[:, 1]
    worst = [row for row in np.argsort(gap, kind="stable")[:most].tolist() if gap[row] < 0]
    return [Mistake(row, "the chosen answer", f"the rejected one, by {-gap[row]:.1f} nats", None) for row in worst]


def predictions(answers: NDArray[np.float64], classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """``log_probability`` of both answers."""
    return [{"input": str(given), "chosen": float(row[0]), "rejected": float(row[1])} for given, row in zip(inputs, answers, strict=True)]


def preference(facts: Mapping[str, Any] | None = None) -> Task:
    return Task(
        name=NAME,
        form=FORMS[NAME],
        headline="preference_accuracy",
        head=language.head,
        losses=losses,
        answers=language.answers,
        statistics=statistics,
        document=document,
        predictions=predictions,
        mistakes=mistakes,
        quality=margins,
        collect=collect,
        augmentations=frozenset(),
        respond=language.respond,
        unfit=language.unfit,
        objective="dpo",
        refers=True,
        bind=preference,
        facts=dict(facts or {}),
    )


PREFERENCE = preference()
