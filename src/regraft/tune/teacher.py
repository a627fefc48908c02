"""A generation as the teacher of a run: its answers to the examples that the run learns from, computed once and kept in the cache.

The room ``train`` knows no lineage: it is handed arrays, row for row those of the split that it trains on. They are kept by the teacher's digest and
the digests of the examples, so that every run, epoch and competing plan reads the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft import digest, lineage
from regraft.cache import Cache
from regraft.data import Split
from regraft.data.encode import Encoded, encode
from regraft.data.load import load_known
from regraft.errors import PlanError, suggest
from regraft.plan.plan import Plan
from regraft.serve import rebuild
from regraft.spec import SPLITS
from regraft.train.objective import Ask, TeacherLogits, declared
from regraft.train.objectives.stage_output import places, pooled
from regraft.train.terms import tapped
from regraft.trunk.trunk import Inputs
from regraft.tune import evidence
from regraft.tune.job import Job, Work, no_work
from regraft.tune.kept_answers import kept_answers
from regraft.tune.source_head import source_head

TRAIN = "train"
FORMS = {"features": pooled, "attention": places}
"""Of what leaves its stages."""


class Teacher:
    """The generation that ``reference`` means. It is rebuilt only where an answer is not in ``cache``."""

    def __init__(self, store: lineage.Store, reference: str, *, cache: Cache | None = None, work: Work = no_work) -> None:
        self.store, self.record, self.cache, self.work = store, store.get(reference), cache, work

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.record.manifest["classes"])

    @cached_property
    def rebuilt(self) -> rebuild.Rebuilt:
        found = rebuild.network(self.store, self.record.digest)
        found.network.to("cuda" if torch.cuda.is_available() else "cpu")
        return found

    def logits(self, examples: Sequence[Split | Encoded]) -> NDArray[np.float32]:
        """(n, k) for the rows of ``examples``, one after the other, in eval mode. A split is encoded as the teacher reads it; what is
        encoded already must have been made for a model of the same door."""
        say = lambda done, total: self.work(f"answers of {self.record.name}", done, total)  # noqa: E731
        return self._kept("logits", examples, lambda encoded: evidence.logits(self.rebuilt.network, encoded, say))

    def taught(self, examples: Sequence[Split | Encoded], classes: Sequence[str]) -> TeacherLogits:
        """Its logits for those of ``classes`` that it knows, found by name. Raises ``PlanError`` where it knows fewer than two."""
        shared = [(mine, classes.index(name)) for mine, name in enumerate(self.classes) if name in classes]
        if len(shared) < 2:
            raise PlanError(f"learn from {self.record.name}", f"of the {len(classes)} classes it knows {len(shared)}: its own are {', '.join(self.classes[:6])}",
                            "a teacher that shares at least two classes")  # fmt: skip
        theirs, ours = (np.array(column) for column in zip(*shared, strict=True))
        return TeacherLogits(self.logits(examples)[:, theirs], ours)

    def inside(self, form: str, examples: Sequence[Split | Encoded], stages: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Stage -> what leaves it for the rows of ``examples`` (n, width), in one of ``FORMS``."""
        return {name: self._kept(f"{form} of {name}", examples, partial(self._left, form=form, stage=name)) for name in stages}

    def _left(self, encoded: Encoded, *, form: str, stage: str) -> NDArray[np.float32]:
        network = self.rebuilt.network
        names = network.trunk.stage_names
        if stage not in names:
            raise PlanError(f"stage {stage!r} of {self.record.name}", "the teacher has no such stage", suggest(stage, names))

        def forward(inputs: Inputs) -> Tensor:
            with tapped(network, (stage,)) as found:
                network(inputs)
            return FORMS[form](found[stage], inputs.get("attention_mask"), map_axis=network.trunk.map_axis)

        return evidence.answers(network, encoded, forward)

    def _kept(
        self, what: str, examples: Sequence[Split | Encoded], compute: Callable[[Encoded], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """What ``compute`` makes of all examples (n, width), from the cache where it is known."""
        digests = [one for part in examples for one in part.digests]
        key = digest.of_json({"teacher": self.record.digest, "what": what, "examples": digest.of_digests(digests)})
        made = lambda: np.concatenate([compute(part if isinstance(part, Encoded) else self._encoded(part)) for part in examples])  # noqa: E731
        return kept_answers(self.cache, key, len(digests), made)

    def _encoded(self, split: Split) -> Encoded:
        rebuilt = self.rebuilt
        if split.parts == "row":  # by its own columns
            split = replace(split, facts=rebuilt.task.facts)
        return encode(split, rebuilt.spec, rebuilt.tokenizer, max_length=rebuilt.max_length)


def asked(
    plan: Plan, job: Job, store: lineage.Store, *, cache: Cache | None, examples: Sequence[Split | Encoded] | None = None
) -> Mapping[Ask, Any]:
    """What the objectives of ``plan`` ask for, for a run that learns from ``examples`` one after the other; the training split, if not given."""
    rows = [job.dataset.splits["train"]] if examples is None else examples
    return {ask: _brought(ask, plan, job, rows, store=store, cache=cache) for ask in _asks(plan)}


def _asks(plan: Plan) -> list[Ask]:
    return list(dict.fromkeys(ask for one in plan.objectives for ask in declared(one).asks))


def _brought(ask: Ask, plan: Plan, job: Job, examples: Sequence[Split | Encoded], *, store: lineage.Store, cache: Cache | None) -> Any:
    if ask.what == "examples":
        return job.encoded("train") if ask.of == TRAIN else _labelled(ask.of, job)
    if ask.what == "source_head":
        return source_head(job)
    teacher = Teacher(store, ask.of, cache=cache, work=job.work)
    manifest = teacher.record.manifest
    if manifest["task"] != plan.task:
        raise PlanError(
            f"learn {plan.task} from {teacher.record.name}", f"it was trained for {manifest['task']}", "a teacher of the same task"
        )
    if ask.what in FORMS:
        return teacher.inside(ask.what, examples, ask.stages)
    return teacher.taught(examples, job.dataset.classes)


def _labelled(reference: str, job: Job) -> Encoded:
    """The examples of ``reference``, its training split where it brings one, with the classes of the job, as its model reads them."""
    request = job.request
    found = load_known(
        reference, job.dataset.classes, facts=job.dataset.facts, task=job.dataset.task, input=request.input, target=request.target
    )
    split = next(found.splits[name] for name in SPLITS if name in found.splits)
    return encode(split, job.trunk.input, job.trunk.tokenizer, max_length=int(request.settings.get("max_length", 0)))
