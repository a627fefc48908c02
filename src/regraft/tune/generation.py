"""A generation in a person's hands: what it is, what it measures, what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft import lineage, tasks
from regraft.data.dataset import Rejected
from regraft.data.encode import Encoded, encode
from regraft.data.load import load_known
from regraft.errors import RequestError
from regraft.evaluate.compare import Verdict, paired
from regraft.lineage.heads import chosen, together
from regraft.report import pages
from regraft.serve import rebuild
from regraft.serve.heads import Heads
from regraft.serve.predictor import Predictor
from regraft.spec import SPLITS, Form, InputKind
from regraft.tasks.inputs import Input
from regraft.tune.reference import compare

SEEN = "seen.examples"


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labelled examples that are asked about: where they are, which split, and how they are read."""

    data: str
    split: str | None = None
    input: str | None = None
    target: str | None = None
    allow_rejected: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The examples of ``split`` as the model reads them, and what of the data could not be used."""

    split: str
    encoded: Encoded
    rejected: tuple[Rejected, ...]

    @property
    def warnings(self) -> list[str]:
        if not self.rejected:
            return []
        first = self.rejected[0]
        return [
            f"{len(self.rejected):,} rows or files could not be used, the first {first.where} ({first.reason}); --json lists all of them"
        ]


class Generation:
    """One immutable result. Made by ``tune``; found again by ``open(name)``."""

    def __init__(
        self, store: lineage.Store, record: lineage.Generation, document: dict[str, Any] | None = None, *, head: str | None = None
    ) -> None:
        """``head``: of several tasks that it learned together, the one that is asked."""
        self.store, self.record = store, record
        self.head = head if head in together(record) else None
        self.document = document or {}
        self._predictor: Predictor | None = None

    def __repr__(self) -> str:
        return f"<generation {self.name} {self.digest[:12]} of {self.record.manifest['model']}>"

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def digest(self) -> str:
        return self.record.digest

    @property
    def metrics(self) -> dict[str, Any]:
        """Split -> metric name -> ``{"value", "low", "high", "n"}``."""
        return dict(self.record.manifest["metrics"])

    @property
    def kind(self) -> InputKind:
        return self.record.manifest["input"]["kind"]

    @property
    def form(self) -> Form:
        """What its inputs and targets look like."""
        return tasks.of(self._asked["task"]).form

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self._asked["classes"])

    @property
    def _asked(self) -> dict[str, Any]:
        """``task`` and ``classes`` of what is asked: of all that it learned, or of one head."""
        return together(self.record)[self.head] if self.head else self.record.manifest

    @property
    def _column(self) -> str | None:
        """The column of the targets of one head, where there was one."""
        return together(self.record)[self.head].get("column") if self.head else None

    @property
    def predictor(self) -> Predictor:
        """The model itself, rebuilt from the store when it is first needed."""
        if self._predictor is None:
            self._predictor = Predictor.load(self.store, self.digest, head=self.head)
        return self._predictor

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """One object for each text, pair of texts, list of words, or path of an image: ``{input, label, probability, top}``, or what else its task
        gives (docs/tasks.md)."""
        return self.predictor.predict(inputs)

    def predict_all(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """The same, and under ``heads`` what each further head says of the input (``grow`` with ``new_task``); heads on one trunk share one pass over it."""
        return Heads.load(self.store, self.digest).predict(inputs)

    def evaluate(
        self, data: str | Path, *, split: str | None = None, against: Generation | None = None, input: str | None = None, target: str | None = None,
        allow_rejected: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """The ``evaluate`` document on labelled ``data``, with a paired verdict where another generation is given.

        ``split``: which one of the data; by default test where the data brings one, else everything there is. ``input``, ``target``: columns, where
        they are not those of training or plain to see. ``allow_rejected``: go on though more than 1% of the rows cannot be used.
        """
        asked = Labelled(str(data), split, input, target, allow_rejected)
        found = self._examples(asked)
        answers = self.predictor.answers(found.encoded)
        document = self.predictor.task.document(answers, found.encoded.targets, self.classes)
        document.update(name=self.name, digest=self.digest, data=str(data), split=found.split, warnings=[*self._warnings(found.encoded), *found.warnings],
                        rejected=[asdict(item) for item in found.rejected])  # fmt: skip
        if against is not None:
            verdict = self._compare(against, asked, answers, found.encoded)
            document["against"] = {
                "name": against.name,
                "digest": against.digest,
                **verdict.json(),
                **self._by_task(against, asked, answers, found.encoded),
            }
        return document

    def grow(self, data: str | Path | None = None, **options: Any) -> Generation:
        """The next generation, which learns what is new in ``data`` and passes the gate: ``regraft.grow`` says what can be asked."""
        surface: Any = import_module("regraft")  # it finds the room that does it; this one may not know it
        child: Generation = surface.grow(self, data, **options)
        return child

    def _examples(self, asked: Labelled) -> Found:
        """Where one of several tasks is asked, rows may lack its target: they are listed."""
        manifest, task = self.record.manifest, self.predictor.task
        learnt = manifest["data"]
        dataset = load_known(asked.data, self.classes, facts=task.facts, task=(task.name, task.form), input=asked.input or learnt.get("input"),
                             target=asked.target or self._column or learnt.get("target"),
                             allow_rejected=asked.allow_rejected or self.head is not None)  # fmt: skip
        if asked.split and asked.split not in dataset.splits:
            raise RequestError(f"split {asked.split!r} of {asked.data}", f"it has {', '.join(dataset.splits)}", "name one of these")
        chosen = asked.split or next(name for name in reversed(SPLITS) if name in dataset.splits)
        rebuilt = self.predictor.rebuilt
        encoded = encode(dataset.splits[chosen], rebuilt.spec, rebuilt.tokenizer, max_length=manifest["plan"]["settings"]["max_length"])
        if task.refers:
            compare(rebuild.start(self.store, self.record), task, [encoded])
        return Found(chosen, encoded, dataset.rejected)

    def _warnings(self, encoded: Encoded) -> list[str]:
        """Says so where examples were trained on: then the figures are no test."""
        seen = self.store.assets(self.record).get(SEEN, b"")
        known = {seen[i : i + 8] for i in range(0, len(seen), 8)}
        count = sum(bytes.fromhex(digest[:16]) in known for digest in encoded.digests)
        return [f"{count:,} of {len(encoded):,} examples were trained on: these figures are no test"] if count else []

    def _compare(self, other: Generation, asked: Labelled, answers: NDArray[Any], encoded: Encoded) -> Verdict:
        """Both are read by the task of this one, in the order of its classes."""
        task, theirs = self.predictor.task, other.predictor.task
        if (theirs.form, other.classes) != (task.form, self.classes):
            if (task.headline, theirs.headline) != ("accuracy", "accuracy"):
                raise RequestError(f"compare {self.name} with {other.name}", f"they answer different questions: {task.name}, {theirs.name}",
                                   "two generations of one task with the same classes")  # fmt: skip
            return paired(task.quality(answers, encoded.targets) > 0, other._correct(asked))
        same = other._examples(asked).encoded
        return task.compare(answers, other.predictor.answers(same), encoded.targets, self.classes)

    def _by_task(self, other: Generation, asked: Labelled, answers: NDArray[Any], encoded: Encoded) -> dict[str, Any]:
        """Of several tasks learned together, the verdict on each; nothing for one."""
        mine, theirs = self.predictor.task.members, other.predictor.task.members
        if not mine or [one.name for one in mine] != [one.name for one in theirs]:
            return {}
        found, targets = other.predictor.answers(other._examples(asked).encoded), np.asarray(encoded.targets)
        return {"tasks": {own.name: own.compare(their, answers, found, targets).json() for own, their in zip(mine, theirs, strict=True)}}

    def _correct(self, asked: Labelled) -> NDArray[np.bool_]:
        encoded = self._examples(asked).encoded
        return self.predictor.task.quality(self.predictor.answers(encoded), encoded.targets) > 0

    def report(self) -> Path:
        """Path of the HTML report of the run that made this generation, written anew."""
        return pages.rewrite(self.store.run_folder(self.name), self.digest)


def open(name: str, *, head: str | None = None, store: str | Path | None = None) -> Generation:
    """The generation that a name, tag, digest or ``name~1`` means, from the store given or found; with ``head`` the further head of that name
    on its trunk, or one of several tasks that it learned together."""
    where = lineage.Store.locate(store)
    return Generation(where, chosen(where, name, head), head=head)
