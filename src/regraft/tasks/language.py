"""The next token: plain text, instructions and conversations, of which the answers of the model are learned and nothing else.

The head is the host's own output layer. A loss is the summed cost of an example's learned tokens over their mean number (``facts["mean_tokens"]``), so
that every token counts the same, whatever the batch, the accumulation or the packing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data import template
from regraft.data.encoded import IGNORE, Encoded
from regraft.data.turns import prompt_of, turns_of
from regraft.evaluate import language as metrics
from regraft.evaluate.bootstrap import Statistic
from regraft.spec import FORMS
from regraft.surgery.language_head import LanguageHead, language_head
from regraft.tasks.inputs import shown
from regraft.tasks.speak import speak
from regraft.tasks.task import Mistake, Task, Unfit
from regraft.trunk.trunk import Trunk

NAME = "causal-language-model"
EVEN = math.log(2)
"""Cost of a token that the model gives even odds; an answer that costs more per token is listed as a mistake."""
SHOWN = 300
"""Characters of an answer that a mistake names."""


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> LanguageHead:
    """Raises ``RequestError`` for a model without an output layer of its own."""
    return language_head(trunk)


def costs(logits: Tensor, tokens: Tensor, learned: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) negative log probabilities of ``tokens`` (B, L) under ``logits`` (B, L, V), summed over the places that are ``learned`` (B, L)."""
    each = torch.nn.functional.cross_entropy(logits[learned].float(), tokens[learned], reduction="none", label_smoothing=label_smoothing)
    rows = learned.nonzero()[:, 0]
    return each.new_zeros(len(logits)).index_add(0, rows, each)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) the cost of each example's learned tokens; ``targets`` (B, L) as ``data.language`` lays them."""
    return costs(logits, targets, targets != IGNORE, label_smoothing)


def collect(logits: Tensor, targets: Tensor) -> list[NDArray[Any]]:
    """For each example (2,) float64: the cost of its learned tokens, and how many they are."""
    learned = targets != IGNORE
    found = torch.stack(
        [costs(logits, targets.to(logits.device), learned.to(logits.device)).cpu().double(), learned.sum(1).cpu().double()], 1
    )
    return list(found.numpy())


def answers(scores: NDArray[Any]) -> NDArray[np.float64]:
    """(n, m) what ``collect`` kept."""
    return np.stack([np.asarray(row, np.float64) for row in scores])


def statistics(answers: NDArray[np.float64], targets: NDArray[Any], classes: Sequence[str]) -> dict[str, Statistic]:
    return {"perplexity": metrics.perplexity(answers[:, 0], answers[:, 1])}


def document(answers: NDArray[np.float64], targets: NDArray[Any], classes: Sequence[str]) -> dict[str, Any]:
    return metrics.document(statistics(answers, targets, classes), len(answers))


def quality(answers: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
    """The log probability of a token of each answer."""
    return -metrics.per_token(answers[:, 0], answers[:, 1])


def mistakes(answers: NDArray[np.float64], targets: NDArray[Any], classes: Sequence[str], most: int) -> list[Mistake]:
    """The answers that surprise the model most."""
    cost = -quality(answers, targets)
    worst = [row for row in np.argsort(-cost, kind="stable")[:most].tolist() if cost[row] > EVEN]
    return [Mistake(row, str(targets[row])[:SHOWN], f"perplexity {math.exp(min(cost[row], 20.0)):,.1f}", None) for row in worst]


def predictions(answers: NDArray[np.float64], classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """``perplexity`` of what each conversation learns; what the model says itself is ``respond``'s."""
    cost = -quality(answers, answers)
    return [{"input": shown(given), "perplexity": float(math.exp(min(one, metrics.MOST)))} for given, one in zip(inputs, cost, strict=True)]


def respond(network: Any, tokenizer: Any, inputs: Sequence[str], limit: int | None) -> list[dict[str, Any]]:
    """``answer`` of the model to each conversation (``turns.written``), up to its last answer."""
    turns = [turns_of(cell) for cell in inputs]
    prompts = [prompt_of(one) for one in turns]
    said = speak(network, tokenizer, prompts, limit)
    return [{"input": one[-1][1] if one else "", "answer": answer} for one, answer in zip(prompts, said, strict=True)]


def unfit(trunk: Trunk, encoded: Encoded) -> Unfit:
    """Rows whose mask is empty: the template does not write their answers, or nothing of them is left by the length limit."""
    assert encoded.learned is not None
    return Unfit(np.flatnonzero(encoded.learned == 0), f"has no token: the mask is empty by {template.name_of(trunk.tokenizer)}",
                 "a template that writes the answers of the model, or a larger --set max_length")  # fmt: skip


def causal_language_model(facts: Mapping[str, Any] | None = None) -> Task:
    """The task for conversations of ``facts["mean_tokens"]`` learned tokens in the mean."""
    known = dict(facts or {})
    mean_tokens = float(known.get("mean_tokens", 1.0))
    return Task(
        name=NAME,
        form=FORMS[NAME],
        headline="perplexity",
        head=head,
        losses=lambda logits, targets, label_smoothing=0.0: losses(logits, targets, label_smoothing) / mean_tokens,
        answers=answers,
        statistics=statistics,
        document=document,
        predictions=predictions,
        mistakes=mistakes,
        quality=quality,
        collect=collect,
        augmentations=frozenset(),
        respond=respond,
        unfit=unfit,
        bind=causal_language_model,
        facts=known,
    )


CAUSAL_LANGUAGE_MODEL = causal_language_model()
