"""A task: what is learned, seen by the training loop, by evaluation and by prediction. A record of functions, no base class.

    labels --(form)--> targets (n, ...)                                   data.targets reads and encodes them
    inputs --> trunk --> head --> logits --(collect)--> scores (n, ...)   what is kept of the network's output, example by example
    scores --(answers)--> answers (n, ...)                                probabilities, numbers: what metrics and people read
    answers, targets --> statistics, document, mistakes, quality

One file per task holds its functions; a new task is a new ``Task``, handed over or registered under ``regraft.tasks``. What a task has to
know about one data set (the mean of its numbers, the scheme of its tags) are ``facts``: ``bound(facts)`` is the task that knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from regraft.data.several import labelled, own
from regraft.evaluate import compare
from regraft.evaluate.bootstrap import Statistic
from regraft.evaluate.measure import values_of
from regraft.spec import Form, InputKind

if TYPE_CHECKING:
    from regraft.data.encoded import Encoded
    from regraft.trunk.trunk import Trunk

Floats = NDArray[np.floating]
Solved = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weights (k, d) and bias (k,) of a linear layer."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer, for a person to look at: the row, the truth and the answer in words, and how sure the model was (None: no such thing)."""

    row: int
    label: str
    predicted: str
    probability: float | None


@dataclass(frozen=True, eq=False, slots=True)
class Unfit:
    """Rows of a split whose target a model has no way to give, and why, as the end of a sentence that begins with the target."""

    rows: NDArray[np.integer]
    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class Member:
    """One of several tasks that are learned together: its ``name`` (of the target's column), the ``task`` bound to its facts, its ``classes``, and which of the
    logits (``outputs``) and of the numbers of a target row (``targets``) are its own."""

    name: str
    task: Task
    classes: tuple[str, ...]
    outputs: slice = field(kw_only=True)
    targets: slice = field(kw_only=True)

    @property
    def mixed(self) -> int:
        """How many numbers its targets take where examples were mixed."""
        return len(self.classes) if self.task.form.target in ("class", "level", "set") else 1

    def answers(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Its answers, of the scores (n, K) of all tasks."""
        return self.task.answers(scores[:, self.outputs])

    def compare(self, other: Member, scores: NDArray[Any], others: NDArray[Any], targets: NDArray[Any]) -> compare.Verdict:
        """What it makes of ``scores`` (n, K) against what ``other``, the same task of another network, makes of ``others``, where there are targets."""
        rows = labelled(targets, self.targets)
        truth = own(targets[rows], self.targets, self.task.form.target)
        return self.task.compare(self.answers(scores[rows]), other.answers(others[rows]), truth, self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """``name`` as a person types it; ``form`` of its examples; ``headline``: the metric that early stopping and tables read.

    ``head(trunk, num_classes, dropout) -> module`` called as ``head(features, mask) -> logits (B, ...)``.
    ``losses(logits, targets, label_smoothing) -> (B,)``, one for each example; targets as ``Encoded.target_batch`` gives them, or mixed.
    ``answers(scores (n, ...)) -> (n, ...)``.
    ``statistics(answers, targets, classes)``: metric name -> its value for any draw of the examples.
    ``document(answers, targets, classes)``: the ``evaluate`` document.
    ``predictions(answers, classes, inputs)``: one JSON object for each input.
    ``mistakes(answers, targets, classes, most)``: the worst first.
    ``quality(answers, targets) -> (n,)``: how good each answer is, the larger the better, for comparing two models example by example.

    ``collect(logits, targets) -> list``: of a batch what is kept of each example; ``None``: its logits, which have one shape.
    ``solve(features (n, d), targets, *, num_outputs, seed, restraint) -> weights, bias`` of the linear head that is best on frozen features
    (``restraint``: regularised so many times as strongly); ``None``: no closed form.
    ``outputs(num_classes)``: width of the head. ``counts(targets, num_classes)``: training examples of each class, for the advice.
    ``pictures(answer, target, input) -> arrays (h, w, 3)``: the truth and the answer of one example, as a report shows them beside its image.
    ``augmentations``: names of those that leave the targets true; ``None``: all of the input's kind. ``mixable(targets, outputs) -> (B, k)``: the
    form in which the targets of two examples can be mixed.
    ``members``: the tasks that this one is made of, where several are learned at once; ``each(logits, targets, label_smoothing) -> (B, T)``: the loss of each
    example at each of them, 0 where it has no target; ``present(targets) -> (B, T)``: whether it has.
    ``unfit(trunk, encoded) -> Unfit``: examples that cannot be learned on this trunk. ``reads``: settings of the run that are facts of the task.
    ``carry(head, made, known, classes) -> made``: a fresh head that begins with what an earlier one of this task, for the classes ``known``, has learned.
    ``respond(network, tokenizer, inputs, limit)``: one JSON object for each input, said by the model itself and not read off its scores (``limit``: tokens that it
    reads). ``objective``: what is minimised where nobody asks for anything. ``refers``: answers are measured against those of the network that training started
    from, which the conductor puts in the targets' place.
    ``bind(facts) -> Task``. ``settle(scores, targets) -> facts`` that are decided on valid once training is over (thresholds).
    """

    name: str
    form: Form
    headline: str
    head: Callable[..., nn.Module]
    losses: Callable[..., Tensor]
    answers: Callable[[NDArray[Any]], NDArray[Any]]
    statistics: Callable[..., Mapping[str, Statistic]]
    document: Callable[..., dict[str, Any]]
    predictions: Callable[[NDArray[Any], Sequence[str], Sequence[Any]], list[dict[str, Any]]]
    mistakes: Callable[..., list[Mistake]]
    quality: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]
    collect: Callable[[Tensor, Tensor], list[NDArray[Any]]] | None = None
    solve: Callable[..., Solved] | None = None
    outputs: Callable[[int], int] = int
    counts: Callable[[NDArray[Any], int], tuple[int, ...]] = lambda targets, num_classes: (len(targets),)
    augmentations: frozenset[str] | None = None
    pictures: Callable[[NDArray[Any], Any, str], list[NDArray[np.uint8]]] | None = None
    mixable: Callable[[Tensor, int], Tensor] = lambda targets, outputs: targets
    bind: Callable[[Mapping[str, Any]], Task] | None = None
    settle: Callable[[NDArray[Any], NDArray[Any]], dict[str, Any]] | None = None
    unfit: Callable[[Trunk, Encoded], Unfit] | None = None
    carry: Callable[[nn.Module, nn.Module, Sequence[str], Sequence[str]], nn.Module] | None = None
    reads: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    respond: Callable[..., list[dict[str, Any]]] | None = None
    objective: str = ""
    refers: bool = False
    members: tuple[Member, ...] = ()
    each: Callable[..., Tensor] | None = None
    present: Callable[[Tensor], Tensor] | None = None

    @property
    def kind(self) -> InputKind:
        return self.form.kind

    def bound(self, facts: Mapping[str, Any]) -> Task:
        """This task for a data set of these facts."""
        return self.bind(facts) if self.bind else self

    def kept(self, logits: Tensor, targets: Tensor) -> Tensor | list[NDArray[Any]]:
        """What is kept of a batch; ``targets`` as ``Encoded.target_batch`` gives them."""
        return self.collect(logits, targets) if self.collect else logits

    def watched(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        """The headline and, where there is one, the log loss: values without intervals, quickly."""
        answers = self.answers(scores)
        classes = self.facts.get("classes")
        if not classes:
            width = answers[0].shape[-1] if answers.dtype == object else answers.shape[-1]
            classes = [str(index) for index in range(width)]
        found = self.statistics(answers, targets, classes)
        return values_of(found, len(targets), dict.fromkeys((self.headline, "log_loss")))

    def compare(self, one: NDArray[Any], other: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]) -> compare.Verdict:
        """The answers of one model against those of another to the same examples: by accuracy where that is the headline, else by the headline."""
        qualities = self.quality(one, targets), self.quality(other, targets)
        if self.headline == "accuracy":
            return compare.paired(qualities[0] > 0, qualities[1] > 0)
        statistics = tuple(self.statistics(each, targets, classes)[self.headline] for each in (one, other))
        return compare.by_metric(self.headline, (statistics[0], statistics[1]), qualities)
