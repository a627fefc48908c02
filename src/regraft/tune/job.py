"""A job: data, model and what was measured about both, loaded once; plans are made from it and carried out on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regraft import tasks
from regraft.data import Dataset, Split, load
from regraft.data.decode import shorter_side
from regraft.data.encode import Encoded, encode, prepare
from regraft.data.joined import joined, references
from regraft.data.language import pack, shown
from regraft.data.load import TaskLike
from regraft.data.spread import spread
from regraft.data.template import name_of
from regraft.data.text import TextEncoded, length_limit
from regraft.errors import RequestError, TrunkError
from regraft.plan.settings import Settings
from regraft.plan.strategy import parse
from regraft.plan.surgery import parse_surgery, split_model
from regraft.surgery import heads
from regraft.surgery.decoder_outline import decoder_outline
from regraft.tasks import Task
from regraft.trunk import load as models
from regraft.trunk import pace
from regraft.trunk.machine import hand_back
from regraft.trunk.measure import measure
from regraft.trunk.network import Network
from regraft.trunk.outline import Outline
from regraft.trunk.trunk import Trunk
from regraft.tune.request import Request

TIMED = 32
"""Examples that a pass is timed on, at most."""
TIMED_TEXTS = 16
"""Of texts, which are of all lengths: padded to the longest, they are as many tokens as a batch of twice as many that are of one length."""
SAMPLED = 1024
"""Texts that stand for all training examples where nothing is going to be trained."""
Work = Callable[[str, int, int], None]
"""Called as (what is being done, how many are done, how many there are)."""


def no_work(what: str, done: int, total: int) -> None: ...


@dataclass(eq=False, kw_only=True)
class Job:
    """``settings``: those of the request that bear on loading (``input_size``, ``max_length``, fractions). ``edits``: records of the surgery
    that the model had before anything trains (``bundled:minilm+drop(1, 3)``)."""

    request: Request
    dataset: Dataset
    reference: str
    trunk: Trunk
    outline: Outline
    work: Work = no_work
    edits: tuple[dict[str, Any], ...] = ()
    settled: dict[str, Any] = field(default_factory=dict)
    _sample: Encoded | None = None
    _encoded: dict[tuple[str, float], Encoded] = field(default_factory=dict)
    _packed: dict[str, Encoded] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """The task as it is for this data set."""
        task = tasks.of(self.dataset.task)
        asked = {name: value for name, value in self.request.settings.items() if name in task.reads}
        return task.bound({**self.dataset.facts, **asked, **self.settled})

    def settle(self, scores: NDArray[Any], targets: NDArray[Any]) -> None:
        """Let the task decide what it decides on valid, from the scores (n, ...) of a trained network."""
        decide = self.task.settle
        self.settled = decide(scores, targets) if decide else {}

    @property
    def num_classes(self) -> int:
        """Outputs of the head: those of the task, or those that the host's own has."""
        own: Any = self.trunk.own_head
        return self.task.outputs(len(self.dataset.classes)) if own is None else int(own.weight.shape[0])

    @cached_property
    def gflops(self) -> float:
        """1e9 operations a second that this machine reaches on this trunk, over the first training examples."""
        train = self.sample
        rows = np.arange(min(TIMED_TEXTS if self.dataset.kind == "text" else TIMED, len(train)))
        length = 0.0 if train.lengths is None else float(train.lengths[rows].max())
        return pace.gflops(self.trunk, prepare(train.batch(rows), self.trunk.input), self.outline, mean_length=length)

    @property
    def sample(self) -> Encoded:
        """The training examples, or those that stand for all of them (``open_job``): what is forecast is told from these."""
        return self.encoded("train") if self._sample is None else self._sample

    @property
    def targets(self) -> NDArray[Any]:
        """Of all training examples."""
        return self.sample.targets if len(self.sample) == len(self.dataset.splits["train"]) else self.dataset.splits["train"].targets

    def amount(self, settings: Settings) -> tuple[int, float]:
        """Rows that are trained on, and the mean length of one: tokens or samples, 0 for images."""
        train = self.learned("train", settings) if settings.packing else self.sample
        mean = 0.0 if train.lengths is None else float(np.mean(train.lengths))
        return len(train) if settings.packing else len(self.dataset.splits["train"]), mean

    @cached_property
    def oversize(self) -> float:
        """The shorter side of the median image, in sides of the model's input, from a few files; 0 for what are no images."""
        paths, size = self.dataset.splits["train"].inputs, self.trunk.input.size
        if self.dataset.kind != "image" or size is None:
            return 0.0
        return float(np.median([shorter_side(path) for path in paths[:: -(-len(paths) // TIMED)]])) / min(size)

    def encoded(self, split: str, *, margin: float = 1.0) -> Encoded:
        """A split in the form that the model takes, made once. ``margin`` > 1 leaves room around images for random crops."""
        if (split, margin) not in self._encoded:
            self._encoded[split, margin] = _encoded(self.dataset.splits[split], self.trunk, self.request, self.work, margin=margin)
        return self._encoded[split, margin]

    def learned(self, split: str, settings: Settings, *, margin: float = 1.0) -> Encoded:
        """A split as it is trained on: encoded, and with ``packing`` several conversations to a row."""
        encoded = self.encoded(split, margin=margin)
        if not settings.packing:
            return encoded
        if split not in self._packed:
            limit = length_limit(int(self.request.settings.get("max_length", 0)), self.trunk.input, self.trunk.tokenizer)
            assert isinstance(encoded, TextEncoded)
            self._packed[split] = pack(encoded, limit, self.trunk.tokenizer)
        return self._packed[split]

    def fitting(self, train: Encoded) -> Task:
        """The task as it trains on ``train``: of a language model every learned token counts the same, however many there are to a row."""
        if self.dataset.form.target != "text" or train.learned is None:
            return self.task
        return self.task.bound({**self.task.facts, "mean_tokens": max(float(train.learned.mean()), 1.0)})

    def optional(self, split: str) -> Encoded | None:
        return self.encoded(split) if split in self.dataset.splits else None

    def network(self, *, dropout: float, seed: int, fresh: bool = False) -> Network:
        """A network of its own for one run: the pretrained trunk (random weights if ``fresh``), its classifier off, a new head on top."""
        torch.manual_seed(seed)
        trunk, _ = open_trunk(self.reference, self.request, pretrained=not fresh, language=speaks(self.dataset))
        return Network(trunk, self.task.head(trunk, len(self.dataset.classes), dropout))


def _encoded(split: Split, trunk: Trunk, request: Request, work: Work, *, margin: float = 1.0) -> Encoded:
    """``split`` as ``trunk`` takes it."""
    limit = int(request.settings.get("max_length", 0))
    return encode(split, trunk.input, trunk.tokenizer, max_length=limit, margin=margin,
                  progress=lambda done, total: work(f"reading {split.name}", done, total))  # fmt: skip


def open_data(request: Request, work: Work = no_work) -> Dataset:
    given = {name: request.settings[name] for name in ("valid_fraction", "test_fraction") if name in request.settings}
    options = {"input": request.input, "target": request.target, "allow_rejected": request.allow_rejected, "progress": work, **given}
    if len(sets := references(request.data)) == 1:
        return load(request.data, task=_asked(request.task), **options)
    named = request.task.split(",") if request.task else [""] * len(sets)
    if len(named) != len(sets):
        raise RequestError(
            f"--task {request.task} for {request.data}",
            f"{len(named)} tasks for {len(sets)} data sets",
            "a task for each, or leave --task out",
        )
    return joined([load(one, task=_asked(task.strip()), **options) for one, task in zip(sets, named, strict=True)])


def _asked(task: str | None) -> TaskLike | None:
    """The task as ``load`` takes it: by name and form, or (``first,second``) several of them."""
    if not task:
        return None
    named = tuple((name, tasks.of(name).form) for name in map(str.strip, task.split(",")))
    return named if len(named) > 1 else named[0]


def speaks(dataset: Dataset) -> bool:
    """Is it the model's own words that are learned?"""
    return dataset.form.parts == "turns"


def open_trunk(
    reference: str, request: Request, *, pretrained: bool = True, language: bool = False
) -> tuple[Trunk, tuple[dict[str, Any], ...]]:
    """The trunk that ``reference`` names, its classifier off, and the records of the surgery that the reference asks for. ``language``: with the output
    layer of a language model as its own head."""
    model, surgery = split_model(reference)
    trunk = models.load(model, pretrained=pretrained, input_size=int(request.settings.get("input_size", 0)), language=language)
    heads.strip(trunk)
    if not surgery:
        return trunk, ()
    from regraft.surgery.operation import operate_on_trunk

    records = operate_on_trunk(trunk, parse_surgery(surgery))
    trunk.reference = f"{trunk.reference}+{surgery}"
    return trunk, tuple(record.json() for record in records)


def open_job(request: Request, dataset: Dataset, reference: str, work: Work = no_work, *, whole: bool = True) -> Job:
    """Load ``reference`` for ``dataset``; a model for another kind of input is refused before anything else happens. ``whole``: are all training examples
    going to be needed? Else the plan is made from a sample of the texts."""
    hand_back()  # what reading the data has left behind
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(request.settings.get("seed", 0)))
        trunk, edits = _opened(reference, request, language=speaks(dataset))
    if trunk.input.kind != dataset.kind:
        raise RequestError(f"tune {reference} on {request.data}", f"the model takes {trunk.input.kind}, the data is {dataset.kind}",
                           "regraft models --task " + dataset.task)  # fmt: skip
    texts = dataset.kind == "text" and not speaks(dataset)
    split = dataset.splits["train"] if whole or not texts else spread(dataset.splits["train"], SAMPLED)
    train = _encoded(split, trunk, request, work)
    outline = measure(trunk, probe_length=0 if train.lengths is None else max(1, round(float(train.lengths.mean()))))
    job = Job(request=request, dataset=dataset, reference=reference, trunk=trunk, outline=outline, work=work, edits=edits,
              _sample=train)  # fmt: skip
    if split is dataset.splits["train"]:
        job._encoded["train", 1.0] = train
    if dataset.form.target == "mask":
        job.outline = replace(job.outline, decoder=decoder_outline(job.task.head(trunk, job.num_classes, 0.0), trunk))
    return job


def _opened(reference: str, request: Request, *, language: bool) -> tuple[Trunk, tuple[dict[str, Any], ...]]:
    """With its weights; where they cannot be had, without, if the plan asked for starts from random ones anyway."""
    try:
        return open_trunk(reference, request, language=language)
    except TrunkError:
        if not request.strategy:
            raise
        bare, edits = open_trunk(reference, request, pretrained=False, language=language)
        strategy = parse(request.strategy) if isinstance(request.strategy, str) else request.strategy
        if not any(phase.fresh for phase in strategy(measure(bare))):
            raise
        return bare, edits


def candidates(kind: str, *, language: bool = False) -> list[str]:
    """Models that can be loaded here without a network, for this kind of input, in the order of the catalogue: decoders where the model's own words are
    learned, and elsewhere only for want of others."""
    from regraft.trunk.catalogue import available

    fitting = [model for model in available() if model.offline and model.kind == kind]
    found = [model.reference for model in fitting if model.speaks == language] or [model.reference for model in fitting if not language]
    if not found and language:
        raise RequestError("a language model", "none is installed here", "name a decoder with --model: hf:gpt2 when online, or file:FOLDER")
    if not found:
        raise RequestError(f"a model for {kind}", "none is installed here", "pip install 'regraft[offline]', or name one with --model")
    return found


def example_of(job: Job) -> dict[str, Any]:
    """Where a model's own words are learned: the first training example as it reads it, (text, is it learned?) piece by piece, and by which template."""
    if not speaks(job.dataset):
        return {}
    train: Any = job.encoded("train")
    return {"template": name_of(job.trunk.tokenizer), "example": [list(piece) for piece in shown(train, 0, job.trunk.tokenizer)]}


def facts_of(job: Job) -> dict[str, Any]:
    """What the plan records about the data, so that it can be carried out later and compared with what is found then."""
    data, request = job.dataset, job.request
    return {
        "reference": str(Path(request.data).resolve()) if Path(request.data).exists() else request.data,
        "input": request.input,
        "target": request.target,
        "task": data.task,
        **({"tasks": {one["name"]: one["task"] for one in data.facts["tasks"]}} if data.form.target == "several" else {}),
        "fingerprint": data.fingerprint,
        "classes": list(data.classes),
        "outputs": data.outputs,
        "num_outputs": job.num_classes,
        "splits": {name: len(split) for name, split in data.splits.items()},
        "given_splits": list(data.given_splits),
        "said": list(data.said),
        "rejected": [{"where": r.where, "reason": r.reason, "split": r.split} for r in data.rejected[:100]],
        "num_rejected": len(data.rejected),
        "outline": job.outline.json(),
        **example_of(job),
    }
