"""Carrying out a plan: fit, measure on valid, fit again on both if the plan says so, measure once on test, record, report.

network --+-> fit(train | valid) -> answers on valid --+-> refit(train + valid) --+-> answers on test -> generation -> report
          |                                            +--------------------------+
          +-> fit(train + valid), where valid has nothing to tell first ----------+
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regraft import lineage
from regraft.cache import Cache
from regraft.data.encode import Encoded, concat
from regraft.evaluate import stored
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.report import pages
from regraft.surgery.statistics import StatisticsHead
from regraft.train.fit import fit
from regraft.train.history import History, Observer
from regraft.train.ranks import Ranks
from regraft.trunk.machine import hand_back
from regraft.trunk.network import Network
from regraft.trunk.shared import share
from regraft.tune import document, evidence, keeping, record, reference, samples, teacher
from regraft.tune.controls import Controls
from regraft.tune.doubts import doubts
from regraft.tune.generation import Generation
from regraft.tune.job import Job
from regraft.tune.profile import Profiled, told
from regraft.tune.weigh import CACHE_BYTES

ROOM_FOR_CROPS = 1.15


@dataclass(eq=False, kw_only=True)
class Execution:
    """One run of one plan. ``command``: how to repeat it, for the report. ``parent``: digest of the generation that it goes on from.
    ``profiled``: record some steps in a trace. Of several processes (``torchrun``) all train by the plan of the first, which alone records.

    Who goes on from a parent (``grow``) says in a subclass how the network is ``trained`` and ``answered``, what is ``kept``, and by which
    gate it is ``judged`` before anything is stored.
    """

    job: Job
    plan: Plan
    store: lineage.Store
    name: str
    observer: Observer | None = None
    resume: bool = False
    command: str = ""
    parent: str | None = None
    profiled: bool = False
    samples: list[dict[str, Any]] = field(default_factory=list, init=False)

    def go(self) -> Generation:
        ranks = Ranks()
        self.plan = ranks.first_says(self.plan)
        if self.resume and (finished := self._finished()):
            return finished
        self._open()
        base = self.base()
        if self.profiled:
            self.observer = Profiled(self.observer, self.folder)
        said = [samples.answers(self.job, self.job.network(dropout=0.0, seed=0))] if self.job.task.respond else []
        network, history, measured = self.trained()
        if isinstance(self.observer, Profiled):
            self.observer.finish()
        if "test" in self.job.dataset.splits:
            measured["test"] = self.answered(network, "test")
        if said:
            self.samples = samples.rows(self.job, said[0], samples.answers(self.job, network))
        judged = self.judged(network, measured)
        facts = {**self._facts(network, history, measured), **judged, "base": base}
        if not ranks.is_first:
            return self._followed(ranks)
        self.base()  # free where it still is; a gc during a long run may have taken what nothing referred to yet
        kept = self.kept(network)
        made = record.write(self.store, self.job, self.plan, network, name=self.name, facts={**facts, "kept": [row for row, _ in kept]},
                            assets={**self.assets(measured), **{row["asset"]: data for row, data in kept}}, parent=self.parent)  # fmt: skip
        ranks.wait()
        for part in ("fit", "refit"):  # the generation stands: its checkpoints have nothing left to resume
            shutil.rmtree(self.folder / part, ignore_errors=True)
        return self._reported(made, history, measured, cost=facts["cost"])

    def _followed(self, ranks: Ranks) -> Generation:
        """What the first process has recorded."""
        ranks.wait()
        recorded = self._finished()
        assert recorded is not None, "the first process recorded another plan"
        return recorded

    def measured(self, split: str) -> Measured:
        """Train, answer ``split``, and leave nothing behind: a control, of which only the figures are wanted."""
        self._open()
        network, _, known = self.trained()
        found = known.get(split) or self.answered(network, split)
        Ranks().wait()  # another process may still read what lies there
        shutil.rmtree(self.folder, ignore_errors=True)
        return found

    def _open(self) -> None:
        """The run's folder and cache, and what the task measures against."""
        hand_back()
        self.folder = self.store.run_folder(self.name)
        self.cache = Cache(self.store.cache_folder, CACHE_BYTES) if self.plan.settings.cache else None
        reference.refer(self.job, self.cache)

    def base(self) -> str | None:
        """The digest of the pretrained trunk, which is put into the store where it is not there yet."""
        return record.base(self.store, self.job.trunk)

    def trained(self) -> tuple[Network, History, dict[str, Measured]]:
        """The network as the plan leaves it, the history of that, and the answers on valid where a network never saw it."""
        refits = self.plan.settings.refit and "valid" in self.job.dataset.splits
        if refits and not self._tried_first():
            return *self._fitted_on_both("fit", self.plan), {}
        train = self.job.learned("train", self.plan.settings, margin=margin_of(self.plan.settings))
        network, history = self.fitted("fit", self.plan, ("train",), train, self.job.optional("valid"))
        measured = {"valid": self.answered(network, "valid", known=history.answers)} if "valid" in self.job.dataset.splits else {}
        if refits:
            del network  # of the two, one at a time is enough in memory
            network, again = self._fitted_on_both("refit", shortened(self.plan, history))
            history.edits, history.drift = again.edits, again.drift
            history.train_s += again.train_s
        return network, history, measured

    def _tried_first(self) -> bool:
        return self.plan.settings.tried_first(has_test="test" in self.job.dataset.splits, settles=self.job.task.settle is not None)

    def _fitted_on_both(self, part: str, plan: Plan) -> tuple[Network, History]:
        margin = margin_of(plan.settings)
        both = concat(*(self.job.learned(split, plan.settings, margin=margin) for split in ("train", "valid")))
        return self.fitted(part, plan, ("train", "valid"), both, None)

    def _finished(self) -> Generation | None:
        """The generation that this very run has made already, if it ended before it was asked to go on."""
        if self.name not in self.store.names():
            return None
        held = self.store.get(self.name)
        same = (
            Plan.from_json(held.manifest["plan"]).digest == self.plan.digest
            and held.manifest["data"]["fingerprint"] == self.plan.data["fingerprint"]
        )
        manifest = {**held.manifest, "cost": {**held.manifest["cost"], "stored_bytes": held.stored_bytes}}
        page = pages.path_of(self.store.run_folder(self.name), held.digest)
        plan = replace(Plan.from_json(held.manifest["plan"]), data=self.plan.data)  # with the forecast and the reasons of then
        tune = document.tune_document(manifest, plan, self.job, report=str(page))
        return Generation(self.store, held, told(tune, None) if self.profiled else tune) if same else None

    def fitted(self, part: str, plan: Plan, splits: tuple[str, ...], train: Encoded, valid: Encoded | None) -> tuple[Network, History]:
        """``train``: the rows of ``splits``, one after the other."""
        settings = plan.settings
        network = self.job.network(dropout=settings.dropout, seed=settings.seed, fresh=any(phase.fresh for phase in plan.phases))
        share(network, self.job.trunk, plan.never_touched)
        rows = [self.job.dataset.splits[name] for name in splits]
        asked = teacher.asked(plan, self.job, self.store, cache=self.cache, examples=rows)
        history = fit(network, plan, task=self.job.fitting(train), data={"train": train, "valid": valid, "asked": asked}, folder=self.folder / part,
                      cache=self.cache, observer=self.observer, resume=self.resume)  # fmt: skip
        return network, history

    def answered(self, network: Network, split: str, *, known: NDArray[Any] | None = None) -> Measured:
        """``known``: the answers, where training has them already."""
        encoded = self.job.encoded(split)
        say = lambda done, total: self.job.work(f"measuring on {split}", done, total)  # noqa: E731
        if known is not None:
            scores = known
        elif self._has_pooled(network):
            scores = evidence.logits_of_features(network, encoded, self.cache, say)
        else:
            scores = evidence.logits(network, encoded, say, task=self.job.task)
        if split == "valid":
            self.job.settle(scores, encoded.targets)
        return Measured(split, scores, encoded, evidence.document(self.job.task, scores, encoded, self.job.dataset.classes))

    def _has_pooled(self, network: Network) -> bool:
        """Is a head on pooled features all that the plan moves, so that the features of a split serve every such plan?"""
        head, top = network.head, len(self.plan.stages) - 1
        alone = all(phase.boundary >= top and not any(cell.edit for cell in phase.cells) for phase in self.plan.phases)
        return isinstance(head, StatisticsHead) or (alone and self.cache is not None and hasattr(head, "pool"))

    def _facts(self, network: Network, history: History, measured: dict[str, Measured]) -> dict[str, Any]:
        moved = max((phase.trainable_parameters for phase in history.phases), default=0)
        return {
            "metrics": {split: m.document["metrics"] for split, m in measured.items()},
            "edits": [*self.job.edits, *history.edits],
            "drift": history.drift,
            "warnings": [*self.plan.warnings, *history.events, *doubts((m.document for m in measured.values()), self.plan)],
            "cost": {
                "time_s": time.perf_counter() - self.job.request.began,
                "train_s": history.train_s,
                "peak_memory_bytes": peak_memory_bytes(),
                "parameters": sum(p.numel() for p in network.parameters()),
                "trainable_parameters": moved,
                "cache": {"phases_cached": sum(phase.cached for phase in history.phases), "phases": len(history.phases)},
                "precision": history.precision,
                "device": history.device,
            },
        }

    def judged(self, network: Network, measured: dict[str, Measured]) -> dict[str, Any]:
        """Facts of a gate that lets the network pass; raises ``GateRefused`` where it does not. Of several tasks: how they fare beside their controls."""
        shown = measured.get("test") or measured.get("valid")
        if shown is None or not self.job.task.members or not self.plan.settings.controls:
            return {}
        return Controls(self, shown).facts()

    def kept(self, network: Network) -> list[tuple[dict[str, Any], bytes]]:
        """What the generation keeps of its data: rows of the manifest, each with its content (``tune.kept``)."""
        if self.job.dataset.form.target != "class":
            return []  # what is kept is kept by class
        return keeping.kept(self.job, self.plan.settings, network, name=self.name, cache=self.cache)

    def assets(self, measured: dict[str, Measured]) -> dict[str, bytes]:
        learned = [d for split in ("train", "valid") if split in self.job.dataset.splits for d in self.job.encoded(split).digests]
        test = measured.get("test")
        answers = (
            stored.packed(test.scores, test.encoded.digests, test.encoded.targets)
            if test and self.job.dataset.form.target == "class"
            else {}
        )
        return {**answers, **record.seen(learned)}

    def _reported(self, made: lineage.Generation, history: History, measured: dict[str, Measured], *, cost: dict[str, Any]) -> Generation:
        """``cost``: of this very run; a generation that an equal run had made before it holds that one's."""
        page = pages.path_of(self.folder, made.digest)
        manifest = {**made.manifest, "digest": made.digest, "name": self.name}
        manifest["cost"] = {**cost, "stored_bytes": made.stored_bytes}
        tune = document.tune_document(manifest, self.plan, self.job, report=str(page))
        if isinstance(self.observer, Profiled):
            tune = told(tune, self.observer.written)
        shown = measured.get("test") or measured.get("valid")
        said = {"samples": self.samples} if self.samples else {}
        if shown:
            errors = document.errors_shown(self.job.task, shown.scores, self.job.dataset.splits[shown.split], self.job.dataset.classes)
            full = document.report_document(tune, self.plan, self.job, history, evaluation={**shown.document, **said}, errors=errors,
                                            command=self.command, manifest=manifest)  # fmt: skip
            pages.write(page, full)
        return Generation(self.store, made, tune)


@dataclass(frozen=True, eq=False)
class Measured:
    """Answers on one split, ``scores`` (n, k) logits, and their ``evaluate`` document."""

    split: str
    scores: NDArray[np.float32]
    encoded: Encoded
    document: dict[str, Any]


def margin_of(settings: Settings) -> float:
    """How much larger than the model's input images are kept for training: random resized crops need room around the middle."""
    return ROOM_FOR_CROPS if dict(settings.augment).get("resized_crop") else 1.0


def shortened(plan: Plan, history: History) -> Plan:
    """The plan for the second fit: no valid split to watch, and as many epochs as the first fit needed to be at its best."""
    settings = replace(plan.settings, patience=0)
    last = plan.last_by_gradient
    if history.best and plan.settings.patience and int(history.best["phase"]) == last:
        whole = history.phases[last].epochs
        settings = replace(settings, epochs=plan.settings.epochs * min(1.0, history.best["epoch"] / whole))
    return replace(plan, settings=settings)


def peak_memory_bytes() -> int:
    """The most that this process has held: on the device where there is one, else in main memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
