"""What is said in a sound, written down character by character.

frames (B, L, width) -> head -> logits (B, L * steps, k + 1): the characters of the training transcripts, and the blank of CTC

The loss is over all ways to lay a transcript along the frames (``tasks.ctc``). A transcript longer than its frames can spell has no such way: it costs
nothing, teaches nothing, and is named before training begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from regraft.data import arrays
from regraft.data.encoded import Encoded
from regraft.data.sound import SoundEncoded
from regraft.data.spelling import text_of
from regraft.errors import RequestError
from regraft.evaluate import transcripts as metrics
from regraft.evaluate.bootstrap import Statistic
from regraft.spec import FORMS
from regraft.surgery.heads import INIT_STD, align
from regraft.tasks import ctc
from regraft.tasks.task import Mistake, Task, Unfit
from regraft.trunk.frames import Frames
from regraft.trunk.trunk import Trunk

NAME = "speech-recognition"
FRAME_S = 0.02
"""Seconds for each of which one character can be written, at least: a trunk with longer frames gets several for each."""
NEVER = -64.0
"""Logit of every character behind the end of a clip, where the blank has 0: no probability is left for them in fp32, and checks that compare logits
relative to the largest of them still see the others."""
NOTHING_SAID = "(nothing)"


class SpellingHead(nn.Module):
    """Drop out, one linear layer at every frame, which answers for ``steps`` parts of the frame."""

    def __init__(self, width: int, num_characters: int, steps: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.steps = steps
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, steps * (num_characters + 1))
        nn.init.normal_(self.linear.weight, 0.0, INIT_STD)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L * steps, k + 1); behind the end of a clip the blank is certain."""
        logits = self.linear(self.dropout(features)).unflatten(-1, (self.steps, -1)).flatten(1, 2)
        return ended(logits, sounding(features, mask).repeat_interleave(self.steps, dim=1))


def sounding(features: Tensor, mask: Tensor | None) -> Tensor:
    """(B, L) the frames that hold sound: those that begin before the end of their clip, without the zeros by which trunks that count their frames more
    closely mark its end. The first always does."""
    reached = (features != 0).any(-1).flip(1).int().cummax(1).values.flip(1).bool()
    found = align(mask, features) & reached
    found[:, 0] = True
    return found


def ended(logits: Tensor, frames: Tensor) -> Tensor:
    """``logits`` (B, L, k + 1) where ``frames`` (B, L) hold sound; a certain blank elsewhere."""
    silence = logits.new_full((logits.shape[-1],), NEVER)
    silence[-1] = 0.0
    return torch.where(frames[..., None], logits, silence)


def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> SpellingHead:
    """Raises ``RequestError`` for a trunk that gives one vector for a whole clip."""
    if trunk.pooling == "none":
        raise RequestError(f"write down speech with {trunk.reference or trunk.family}", "it gives one vector for a whole clip",
                           "a model with a vector for each frame, such as bundled:audio")  # fmt: skip
    return SpellingHead(trunk.width, num_classes, steps_of(Frames(trunk), trunk), dropout)


@torch.no_grad()
def carried(head: nn.Module, made: nn.Module, known: Sequence[str], classes: Sequence[str]) -> nn.Module:
    """``made``, for ``classes``, with the rows that ``head``, for the characters ``known``, has for those in both, and for the blank."""
    if not isinstance(head, SpellingHead) or not isinstance(made, SpellingHead) or head.steps != made.steps:
        return made
    of, to = zip(*[(known.index(one), place) for place, one in enumerate(classes) if one in known], (len(known), len(classes)), strict=True)
    for mine, theirs in zip(made.linear.parameters(), head.linear.parameters(), strict=True):
        mine.view(made.steps, len(classes) + 1, -1)[:, list(to)] = theirs.view(head.steps, len(known) + 1, -1)[:, list(of)]
    return made


def steps_of(frames: Frames, trunk: Trunk) -> int:
    return max(1, round(frames.step / (FRAME_S * (trunk.input.sample_rate or 1))))


def heard(logits: Tensor) -> Tensor:
    """(B,) how many frames of each clip hold sound: they come first, and behind them stands what ``ended`` put there."""
    return (logits[:, :, :-1] != NEVER).any(-1).sum(1)


def losses(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) minus the log probability of each transcript; ``targets`` (B, S), negative where there is no character. 0 where no path spells it.

    ``label_smoothing``: that share of the loss is the mean cross-entropy against all characters alike, summed over the frames (Kim et al. 2017, 1609.06773).
    """
    log_probabilities, sizes = functional.log_softmax(logits, dim=-1), heard(logits)
    lengths = (targets >= 0).sum(1)
    found = functional.ctc_loss(
        log_probabilities.transpose(0, 1),
        targets.clamp(min=0),
        sizes,
        lengths,
        blank=logits.shape[-1] - 1,
        reduction="none",
        zero_infinity=True,
    )
    if not label_smoothing:
        return found
    there = torch.arange(logits.shape[1], device=logits.device) < sizes[:, None]
    even = -log_probabilities.mean(-1).masked_fill(~there, 0.0).sum(1)
    return (1 - label_smoothing) * found + label_smoothing * even


def collect(logits: Tensor, targets: Tensor) -> list[NDArray[Any]]:
    """For each clip the log probabilities (frames, k + 1) where it holds sound."""
    table, sizes = functional.log_softmax(logits.float(), dim=-1).cpu().numpy(), heard(logits).tolist()
    return [row[:size] for row, size in zip(table, sizes, strict=True)]


def unfit(trunk: Trunk, encoded: Encoded) -> Unfit:
    """The rows whose transcript is longer than its frames can spell."""
    assert isinstance(encoded, SoundEncoded) and encoded.lengths is not None
    frames = Frames(trunk)
    steps = steps_of(frames, trunk)
    least = np.array([ctc.needed(target) for target in encoded.targets], np.int64)
    whole = np.maximum(encoded.lengths, 1)
    heard_share = -(-least * whole // (steps * np.maximum(encoded.held, 1)))  # frames of the padded clip that it would take
    made = frames.counted(encoded.lengths, heard_share)
    rows = np.flatnonzero(steps * -(-encoded.held * made // whole) < least)
    return Unfit(rows, "is longer than the model's frames can spell in the time of its clip",
                 "a model with shorter frames, or shorter transcripts")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text, and its probability among all that could have been said."""

    text: str
    probability: float


class Reading:
    """Scores read as texts. ``classes``: the characters; ``beam``: how many texts are followed at once, 1 for the likeliest path alone."""

    def __init__(self, classes: Sequence[str], beam: int) -> None:
        self.classes, self.beam = classes, beam

    def answers(self, scores: NDArray[Any]) -> NDArray[Any]:
        """(n,) ``Spelling``."""
        texts = [ctc.likeliest(row, self.beam) if self.beam > 1 else ctc.greedy(row) for row in scores]
        sure = np.exp(ctc.log_probabilities(list(scores), texts))
        return arrays.ragged([Spelling(text_of(text, self.classes), float(p)) for text, p in zip(texts, sure, strict=True)])  # type: ignore[misc]

    def counts(self, answers: NDArray[Any], targets: NDArray[Any]) -> metrics.Counts:
        return metrics.counted([answer.text for answer in answers], self.said(targets))

    def said(self, targets: NDArray[Any]) -> list[str]:
        return [text_of(target, self.classes) for target in targets]

    def statistics(self, answers: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]) -> dict[str, Statistic]:
        return metrics.statistics(self.counts(answers, targets))

    def document(self, answers: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]) -> dict[str, Any]:
        return metrics.document(self.counts(answers, targets))

    def quality(self, answers: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        return metrics.quality(self.counts(answers, targets))

    def mistakes(self, answers: NDArray[Any], targets: NDArray[Any], classes: Sequence[str], most: int) -> list[Mistake]:
        """The transcripts with the most wrong characters for their length."""
        score, said = self.quality(answers, targets), self.said(targets)
        worst = [row for row in np.argsort(score, kind="stable")[:most].tolist() if score[row] < 0]
        return [Mistake(row, said[row], answers[row].text or NOTHING_SAID, answers[row].probability) for row in worst]


def predictions(answers: NDArray[Any], classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"input": str(given), "text": one.text, "probability": one.probability} for one, given in zip(answers, inputs, strict=True)]


def speech_recognition(facts: Mapping[str, Any] | None = None) -> Task:
    """The task for transcripts of ``facts["classes"]``. A loss is divided by the ``mean_characters`` of a transcript."""
    known = dict(facts or {})
    reading, mean = Reading(known.get("classes", ()), int(known.get("beam", 1))), float(known.get("mean_characters", 1.0))
    return Task(
        name=NAME,
        form=FORMS[NAME],
        headline=known.get("headline", "wer"),
        head=head,
        losses=lambda logits, targets, label_smoothing=0.0: losses(logits, targets, label_smoothing) / mean,
        answers=reading.answers,
        statistics=reading.statistics,
        document=reading.document,
        predictions=predictions,
        mistakes=reading.mistakes,
        quality=reading.quality,
        collect=collect,
        outputs=lambda num_classes: num_classes + 1,
        unfit=unfit,
        carry=carried,
        reads=("beam",),
        augmentations=frozenset({"shift", "noise", "spec_augment"}),
        bind=speech_recognition,
        facts=known,
    )


SPEECH_RECOGNITION = speech_recognition()
