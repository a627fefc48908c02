"""A student: the job of training a network that starts from a generation, with or without surgery, rather than from pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from regraft import lineage
from regraft.data import Dataset
from regraft.errors import LineageError, RequestError
from regraft.grow.relatives import Relative, open_relative
from regraft.plan.surgery import parse_surgery, split_model
from regraft.surgery.operation import operate
from regraft.trunk.measure import measure
from regraft.trunk.network import Network
from regraft.tune.execute import Execution
from regraft.tune.job import Job, Work, no_work, open_job
from regraft.tune.request import Request


@dataclass(eq=False, kw_only=True)
class Student(Job):
    """``start``: the generation; ``surgery``: on it, before anything trains. Where it knows the same classes its head goes on too."""

    store: lineage.Store
    start: lineage.Generation
    surgery: str = ""

    def network(self, *, dropout: float, seed: int, fresh: bool = False) -> Network:
        """The generation's network, edited, ready to train."""
        if fresh:
            raise RequestError(
                f"train {self.reference} from scratch", "it starts from a generation", "--model with the model's own reference"
            )
        torch.manual_seed(seed)
        return self.open(dropout)[1]

    def open(self, dropout: float) -> tuple[Relative, Network, tuple[dict[str, Any], ...]]:
        """The relative it starts from, the network, and the records of every edit that stands in it."""
        relative = open_relative(self.store, self.start)
        network = relative.rebuilt.network
        records = operate(network, parse_surgery(self.surgery)) if self.surgery else []
        if relative.classes != self.dataset.classes:
            network.head = self.task.head(network.trunk, self.num_classes, dropout)
        for part in network.head.modules():
            if isinstance(part, nn.Dropout):
                part.p = dropout
        network.requires_grad_(True)
        return relative, network, (*relative.edits, *(record.json() for record in records))


@dataclass(eq=False, kw_only=True)
class Study(Execution):
    """An execution that goes on from a generation: it shares that one's base."""

    def base(self) -> str | None:
        assert isinstance(self.job, Student)
        return self.job.start.base


def open_student(request: Request, dataset: Dataset, model: str, store: lineage.Store, *, work: Work = no_work) -> Job:
    """The job on ``model``: a generation of the store, or a model's reference, either with surgery behind a ``+``."""
    name, surgery = split_model(model)
    start = _generation(store, name)
    if start is None:
        return open_job(request, dataset, model, work)
    job = _of_generation(replace(request, settings=_read_alike(request, start)), dataset, start, store, surgery=surgery, work=work)
    if job.trunk.input.kind != dataset.kind:
        raise RequestError(
            f"train {model} on {request.data}", f"it takes {job.trunk.input.kind}, the data is {dataset.kind}", "another model"
        )
    if (lengths := job.encoded("train").lengths) is not None:
        job.outline = measure(job.trunk, probe_length=max(1, round(float(lengths.mean()))))
    job.outline = replace(job.outline, reference=model)
    return job


def _of_generation(
    request: Request, dataset: Dataset, start: lineage.Generation, store: lineage.Store, *, surgery: str, work: Work
) -> Student:
    relative = open_relative(store, start)
    trunk = relative.rebuilt.network.trunk
    job = Student(request=request, dataset=dataset, reference=start.manifest["model"], trunk=trunk, outline=measure(trunk), work=work,
                  store=store, start=start, surgery=surgery)  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(request.settings.get("seed", 0)))
        _, network, job.edits = job.open(0.0)
    job.trunk, job.outline = network.trunk, measure(network.trunk)
    return job


def _read_alike(request: Request, start: lineage.Generation) -> dict[str, Any]:
    """The request's settings, texts being cut as the generation reads them."""
    return {"max_length": start.manifest["plan"]["settings"]["max_length"], **request.settings}


def _generation(store: lineage.Store, name: str) -> lineage.Generation | None:
    """The generation of that name, tag or digest; ``None`` where the store has none, and the name may be a model's."""
    if ":" in name or "/" in name:
        return None
    try:
        return store.get(name)
    except LineageError:
        return None
