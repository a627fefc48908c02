"""``plan`` and ``tune``: from what a person asked for to the answer. With ``check``, the surface of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft import lineage, tasks
from regraft.advise import mirror
from regraft.advise import model as models
from regraft.advise.priors import MIRROR_LOSS
from regraft.advise.probe import ProbeResult, probe
from regraft.cache import Cache
from regraft.cache.pooled import linear_features
from regraft.data import Dataset
from regraft.data.encode import Encoded
from regraft.data.mirrored import Mirrored
from regraft.errors import DataError, RequestError
from regraft.plan.plan import Plan
from regraft.plan.strategy import Strategy
from regraft.train.objective import read
from regraft.trunk import machine
from regraft.tune import compiling, learned_from, weigh
from regraft.tune.decide import FIND, decide, forecast, pace
from regraft.tune.job import Job, Work, candidates, no_work, open_data, open_job, speaks
from regraft.tune.request import Request
from regraft.tune.weigh import CACHE_BYTES

if TYPE_CHECKING:
    from regraft.train.history import Observer
    from regraft.tune.generation import Generation

__all__ = ["plan", "tune"]
OWN = ("model", "task", "objective", "input", "target", "name", "allow_rejected")
"""Options that are fields of the request; every other one is a setting."""


def plan(
    data: str | Path | Request, *, strategy: Strategy | str | None = None, store: str | Path | None = None, probe: bool = False, work: Work = no_work,
    **options: Any,
) -> Plan:  # fmt: skip
    """Resolve everything for ``data`` and return the plan: the grid, the reasons, the cost. Nothing is trained or stored.

    ``options``: ``model``, ``task``, ``objective`` (text, or a function ``(logits, targets) -> (B,)``), ``input``, ``target``, ``name``, and
    any of ``Settings``. ``probe``: measure a linear probe on
    frozen features first, as ``tune`` does where no strategy is given.
    """
    request = data if isinstance(data, Request) else requested(data, strategy, options)
    return _planned(request, lineage.Store.locate(store), probing=probe, work=work)[0]


def tune(
    data: str | Path | Plan | Request, *, strategy: Strategy | str | None = None, store: str | Path | None = None, resume: bool = False,
    observer: Observer | None = None, work: Work = no_work, on_plan: Callable[[Plan], None] | None = None, **options: Any,
) -> Generation:  # fmt: skip
    """Plan, preflight, train, evaluate, record a generation, write a report.

    ``data``: a path, or the plan that ``plan`` returned. ``options`` as for ``plan``, and ``command``: how to repeat the run.
    ``profile``: record some steps in a trace that https://ui.perfetto.dev opens; the document says where.
    ``resume``: go on with an interrupted run of that name, or start it. ``on_plan``: is shown the plan before anything is spent.
    """
    command, profiled = str(options.pop("command", "")), bool(options.pop("profile", False))
    where = lineage.Store.locate(store)
    if isinstance(data, Plan):
        request = of_plan(data, options)
        dataset = open_data(request, work)
        if dataset.fingerprint != data.data["fingerprint"]:
            raise DataError(f"carry out the plan for {request.data}", "the data has changed since the plan was made", "plan again")
        made, job = data, open_job(request, dataset, data.model, work)
    else:
        request = data if isinstance(data, Request) else requested(data, strategy, options)
        made, job = _planned(request, where, probing=True, work=work)
    if on_plan:
        on_plan(made)
    from regraft.tune.execute import Execution  # whoever asks for a plan alone need not wait for all that trains and reports

    run = Execution(
        job=job, plan=made, store=where, name=request.run_name, observer=observer, resume=resume, command=command, profiled=profiled
    )
    return run.go()


def requested(data: str | Path, strategy: Strategy | str | None, options: Mapping[str, Any]) -> Request:
    """A request from keyword options: the request's own fields by name, everything else a setting."""
    own = {name: options[name] for name in OWN if options.get(name) is not None}
    settings = {name: value for name, value in options.items() if name not in own and value is not None}
    return Request(data=str(data), strategy=strategy, settings=settings, **own)


def of_plan(made: Plan, options: Mapping[str, Any]) -> Request:
    """The request that would lead to this plan again."""
    if extra := sorted(set(options) - {"name"}):
        raise RequestError(f"tune(plan, {extra[0]}=...)", "a plan is settled", "give that to rg.plan(...), or replace it in the plan")
    data = made.data
    settings = {name: getattr(made.settings, name) for name in ("input_size", "max_length", "valid_fraction", "test_fraction", "seed")}
    task = ",".join(data["tasks"].values()) if "tasks" in data else made.task
    return Request(data=data["reference"], model=made.model, task=task, input=data["input"], target=data["target"], name=options.get("name"),
                   settings=settings, allow_rejected=True)  # fmt: skip


def _planned(request: Request, store: lineage.Store, *, probing: bool, work: Work) -> tuple[Plan, Job]:
    """The plan and the job that it was made from. A model or a strategy that was not given is chosen by a probe, where probing is on."""
    asked = learned_from.settled(read(request.objective), store)
    dataset = open_data(request, work)
    objectives = asked or read(tasks.of(dataset.task).objective)
    cache = Cache(store.cache_folder, CACHE_BYTES)
    job, found, reasons = _model(request, dataset, cache, work, whole=probing)
    if found is None and probing and request.strategy is None:
        found = _probe(job, cache)
    first = (*reasons, *learned_from.told(objectives, store))
    made = decide(job, machine.measure(), objectives=objectives, probe=found, reasons=first)
    if probing and _mirrors_unasked(made, job) and (lost := _mirror_loss(job, cache, probed=found is not None)):
        made = decide(job, machine.measure(), objectives=objectives, probe=found, mirror_loss=lost, reasons=first)
    if request.settings.get("lr") == FIND:
        from regraft.tune.found_rate import with_found_rate

        made = with_found_rate(made, job, store, cache)
    weighed = weigh.weighed(made, job, gflops=pace(job, machine.measure()), folder=store.cache_folder, limit_bytes=CACHE_BYTES)
    told = made if weighed == made else forecast(weighed, job, machine.measure())
    compiling.check(told, machine.measure().device)
    return told, job


def _model(request: Request, dataset: Dataset, cache: Cache, work: Work, *, whole: bool) -> tuple[Job, ProbeResult | None, tuple[str, ...]]:
    """The job on the model asked for; else on the only one that fits; else on the one whose features know the task best."""
    if request.model:
        return open_job(request, dataset, request.model, work, whole=whole), None, ()
    references = candidates(dataset.kind, language=speaks(dataset))
    if len(references) == 1:
        return (
            open_job(request, dataset, references[0], work, whole=whole),
            None,
            (f"{references[0]}: the only model for {dataset.kind} that is installed here",),
        )
    jobs = {reference: open_job(request, dataset, reference, work) for reference in references}
    probes = {reference: _probe(job, cache) for reference, job in jobs.items()}
    known = {reference: found for reference, found in probes.items() if found is not None}
    if len(known) < len(jobs):
        return (
            jobs[references[0]],
            None,
            (f"{references[0]}: the first of {len(references)} models for {dataset.kind} that are installed here",),
        )
    offers = [models.Candidate(reference, known[reference], sum(s.macs for s in job.outline.stages)) for reference, job in jobs.items()]
    reference, reasons = models.choose(offers)
    return jobs[reference], probes[reference], reasons


def _probe(job: Job, cache: Cache | None) -> ProbeResult | None:
    """How much the frozen features know: on the training examples alone, by cross-validation; ``None`` for what has no classes to be right about,
    and for features of random weights."""
    if not _has_known_features(job):
        return None
    train = job.encoded("train")
    return probe(_features(job, train, cache), train.targets, num_classes=job.num_classes, groups=_same(train))


def _mirrors_unasked(made: Plan, job: Job) -> bool:
    """Would images be shown mirrored though nobody said so, while pretrained features could be asked about it?"""
    unasked = bool(dict(made.settings.augment).get("flip")) and "augment" not in job.request.settings
    return unasked and _has_known_features(job) and not any(phase.fresh for phase in made.phases)


def _mirror_loss(job: Job, cache: Cache | None, *, probed: bool) -> float:
    """What mirroring costs a head on frozen features; 0 where that is inside the noise, or there are too few images to tell. ``probed``: the features of all training images are known."""
    train = job.encoded("train")
    rows = mirror.sample(len(train), seed=0)
    some = train.subset(rows)
    same = _same(some)
    if len(np.unique(same)) < mirror.FEWEST:
        return 0.0
    upright = _features(job, train, cache)[rows] if probed else _features(job, some, cache)
    mirrored = _features(job, Mirrored(some), cache)
    lost = mirror.upright_against_mirrored(upright, mirrored, some.targets, num_classes=job.num_classes, groups=same).difference
    return lost.value if lost.low > MIRROR_LOSS else 0.0


def _has_known_features(job: Job) -> bool:
    """Are there classes to be right about, and pretrained weights all the way up?"""
    return job.dataset.form.target == "class" and not job.outline.is_partly_fresh


def _features(job: Job, encoded: Encoded, cache: Cache | None) -> NDArray[np.float32]:
    network = job.network(dropout=0.0, seed=0)
    compute = {"bf16": "bfloat16", "fp32": "float32"}[machine.measure().precision]  # as in the training to come, which finds them again
    say = lambda done, total: job.work("computing frozen features", done, total)  # noqa: E731
    return linear_features(network, encoded, cache=cache, compute=compute, work=say)


def _same(encoded: Encoded) -> NDArray[np.intp]:
    """(n,): equal where the examples are."""
    return np.unique(encoded.digests.keys, return_inverse=True)[1]
