"""A tag for each word of a sentence: names, places, parts of speech.

The head answers at every word piece; the piece that begins a word speaks for it. Words behind the model's length limit go without an answer, and
count as O. Of all ways to tag a sentence the likeliest one that keeps to the scheme is taken (Viterbi 1967), so that no answer is broken BIO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.data.encoded import IGNORE
from regraft.data.tagging import OUTSIDE, PREFIXES, Scheme, Span, fault, parted, plain_spans, spans
from regraft.errors import RequestError
from regraft.evaluate import entities
from regraft.evaluate.bootstrap import Statistic
from regraft.evaluate.measure import summed
from regraft.spec import FORMS, PART
from regraft.surgery.heads import INIT_STD
from regraft.tasks.classification import solve
from regraft.tasks.task import Mistake, Task
from regraft.trunk.trunk import Trunk

NAME = "token-classification"
NEVER = -1e4
"""Log probability of a step that the scheme forbids; far below any that a model gives, and finite."""
Ragged = NDArray[Any]
"""(n,) objects: an array for each sentence."""


class TokenHead(nn.Module):
    """Drop out, one linear layer at every token: features (B, L, width) to logits (B, L, num_classes)."""

    def __init__(self, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, num_classes)
        nn.init.normal_(self.linear.weight, 0.0, INIT_STD)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        logits: Tensor = self.linear(self.dropout(features))
        return logits


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> TokenHead:
    """Raises ``RequestError`` for a trunk that gives one vector for a whole text."""
    if trunk.pooling == "none":
        raise RequestError(f"tag words with {trunk.reference or trunk.family}", "it gives one vector for a whole text",
                           "a model with a vector for each token, such as bundled:minilm")  # fmt: skip
    return TokenHead(trunk.width, num_classes, dropout)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) cross-entropy summed over the words of each sentence; ``targets`` (B, L), ``IGNORE`` where no word begins."""
    each = nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, reduction="none", ignore_index=IGNORE, label_smoothing=label_smoothing
    )
    return each.sum(1)


def collect(logits: Tensor, targets: Tensor) -> list[NDArray[Any]]:
    """For each sentence the logits (words, k) where its words begin."""
    table, begins = logits.float().cpu().numpy(), (targets != IGNORE).cpu().numpy()
    return [row[flags] for row, flags in zip(table, begins, strict=True)]


def probabilities(scores: Ragged) -> Ragged:
    """(n,) the probabilities (words, k) of the tags of each sentence."""
    found = np.empty(len(scores), dtype=object)
    for index, row in enumerate(scores):
        shifted = np.exp(row.astype(np.float64) - row.max(axis=1, keepdims=True, initial=0.0))
        found[index] = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def allowed(classes: Sequence[str], scheme: Scheme) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Log scores of a first tag (k,), of one tag after another (k, k), and of a last tag (k,): 0, or ``NEVER``."""
    opens = [bool(fault([tag, *_closing(tag, scheme)], scheme)) for tag in classes]
    ends = [bool(fault([*_opening(tag), tag], scheme)) for tag in classes]
    steps = [[bool(fault([*_opening(first), first, second, *_closing(second, scheme)], scheme)) for second in classes] for first in classes]
    return tuple(np.where(flags, NEVER, 0.0) for flags in (opens, steps, ends))  # type: ignore[return-value]


def _opening(tag: str) -> list[str]:
    """What has to stand before a tag that goes on."""
    prefix, kind = parted(tag)
    return [f"B-{kind}"] if prefix in ("I", "M", "E", "L") else []


def _closing(tag: str, scheme: Scheme) -> list[str]:
    """What has to stand behind a tag that opens."""
    prefix, kind = parted(tag)
    last = next((mark for mark in PREFIXES.get(scheme, ()) if mark in "EL"), "")
    return [f"{last}-{kind}"] if last and prefix in ("B", "I", "M") else []


def best_path(probabilities: NDArray[np.floating], steps: tuple[NDArray[np.float64], ...]) -> NDArray[np.intp]:
    """(words,) the likeliest tags that keep to the scheme."""
    start, between, end = steps
    if not len(probabilities):
        return np.zeros(0, np.intp)
    scores = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny))
    total, back = start + scores[0], np.zeros(scores.shape, np.intp)
    for word in range(1, len(scores)):
        reached = total[:, None] + between
        back[word] = reached.argmax(axis=0)
        total = reached.max(axis=0) + scores[word]
    path = [int((total + end).argmax())]
    for word in range(len(scores) - 1, 0, -1):
        path.append(int(back[word, path[-1]]))
    return np.array(path[::-1], np.intp)


@dataclass(frozen=True, slots=True)
class Reading:
    """Probabilities of tags written in ``scheme``, read as tags and as entities."""

    scheme: Scheme

    def tags(self, answers: Ragged, classes: Sequence[str]) -> list[list[str]]:
        """The likeliest tags of each sentence that keep to the scheme."""
        steps = allowed(classes, self.scheme)
        return [[classes[tag] for tag in best_path(row, steps)] for row in answers]

    def found(self, answers: Ragged, targets: Ragged, classes: Sequence[str]) -> tuple[list[list[str]], list[list[str]]]:
        """The tags given and the true ones, of equal length: a word without an answer is O."""
        true = [[classes[tag] for tag in row] for row in targets]
        called = [[*row, *[OUTSIDE] * (len(t) - len(row))] for row, t in zip(self.tags(answers, classes), true, strict=True)]
        return called, true

    def marked(self, sentences: list[list[str]]) -> list[list[Span]]:
        return [plain_spans(row) if self.scheme == "plain" else spans(row) for row in sentences]

    def statistics(self, answers: Ragged, targets: Ragged, classes: Sequence[str]) -> dict[str, Statistic]:
        called, true = self.found(answers, targets, classes)
        return {**entities.statistics(self.marked(called), self.marked(true)), **word_accuracy(called, true)}

    def document(self, answers: Ragged, targets: Ragged, classes: Sequence[str]) -> dict[str, Any]:
        called, true = self.found(answers, targets, classes)
        return entities.document(self.marked(called), self.marked(true), word_accuracy(called, true))

    def predictions(self, answers: Ragged, classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
        rows = zip(inputs, self.tags(answers, classes), answers, strict=True)
        return [_prediction(words_of(given), tags, answer, classes, self.marked) for given, tags, answer in rows]

    def mistakes(self, answers: Ragged, targets: Ragged, classes: Sequence[str], most: int) -> list[Mistake]:
        """The sentences with the most wrong tags."""
        called, true = self.found(answers, targets, classes)
        wrong = np.array([sum(a != b for a, b in zip(c, t, strict=True)) for c, t in zip(called, true, strict=True)])
        worst = [row for row in np.argsort(-wrong, kind="stable")[:most].tolist() if wrong[row]]
        ours, theirs = self.marked(called), self.marked(true)
        return [Mistake(row, _listed(theirs[row]), _listed(ours[row]), None) for row in worst]


def quality(answers: Ragged, targets: Ragged) -> NDArray[np.float64]:
    """The share of words with the right tag, each looked at by itself."""
    right = [float(np.sum(a.argmax(axis=1) == t[: len(a)])) if len(a) else 0.0 for a, t in zip(answers, targets, strict=True)]
    return np.array(right) / np.maximum([len(t) for t in targets], 1)


def token_classification(facts: Mapping[str, Any] | None = None) -> Task:
    """The task for tags written in ``facts["scheme"]``. A loss is divided by the ``mean_words`` of a sentence, so that every word counts the same."""
    known = dict(facts or {})
    reading, mean_words = Reading(cast(Scheme, known.get("scheme", "BIO"))), float(known.get("mean_words", 1.0))
    return Task(
        name=NAME,
        form=FORMS[NAME],
        headline="entity_f1",
        head=head,
        losses=lambda logits, targets, label_smoothing=0.0: losses(logits, targets, label_smoothing) / mean_words,
        answers=probabilities,
        statistics=reading.statistics,
        document=reading.document,
        predictions=reading.predictions,
        mistakes=reading.mistakes,
        quality=quality,
        collect=collect,
        solve=solve,
        augmentations=frozenset(),
        bind=token_classification,
        facts=known,
    )


def word_accuracy(called: list[list[str]], true: list[list[str]]) -> dict[str, Statistic]:
    """``accuracy``: the share of words with the right tag."""
    parts = np.array([[sum(a == b for a, b in zip(c, t, strict=True)), len(t)] for c, t in zip(called, true, strict=True)], np.float64)
    return {"accuracy": summed(parts.reshape(-1, 2), lambda sums: sums[:, 0] / np.maximum(sums[:, 1], 1))}


def words_of(given: str | Sequence[str]) -> list[str]:
    if not isinstance(given, str):
        return list(given)
    return given.split(PART) if PART in given else given.split()


def _prediction(words: list[str], tags: list[str], answer: NDArray[Any], classes: Sequence[str], marked: Any) -> dict[str, Any]:
    """``tags`` of each word, and ``entities``: their text, type and words from ``start`` to ``end`` (that one left out)."""
    tags = [*tags, *[OUTSIDE] * (len(words) - len(tags))]
    sure = {index: float(row[classes.index(tag)]) for index, (tag, row) in enumerate(zip(tags, answer, strict=False))}
    named = [
        {
            "text": " ".join(words[a : b + 1]),
            "type": kind,
            "start": a,
            "end": b + 1,
            "probability": min(sure.get(i, 0.0) for i in range(a, b + 1)),
        }
        for kind, a, b in marked([tags])[0]
    ]
    return {"input": words, "tags": tags, "entities": named}


def _listed(found: Sequence[Span]) -> str:
    return ", ".join(f"{kind} {a + 1}" + (f" to {b + 1}" if b > a else "") for kind, a, b in found) or "no entity"


TOKEN_CLASSIFICATION = token_classification()
