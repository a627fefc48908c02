"""``merge``: one generation out of several, without a training step: mixed, chosen on valid, compared with the best of them, recorded.

related -> mixture -> dial or soup, on valid -> gate: not worse than the best parent -> test, once -> generation -> report
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft import lineage
from regraft.errors import GateRefused, RequestError
from regraft.evaluate.compare import Verdict, paired
from regraft.evaluate.retention import lost, retention
from regraft.grow import merged
from regraft.grow.as_lora import stand_as_lora, weights_of
from regraft.grow.examples import Examples, open_examples
from regraft.grow.methods import GREEDY, GRIDS, UNIFORM, WISE_FT, Method, parse
from regraft.grow.mixture import Mixture
from regraft.grow.relatives import Relative, check_edits, open_relative, related
from regraft.spec import LOWER_IS_BETTER
from regraft.surgery.average import State, greedy_soup
from regraft.trunk.network import Network
from regraft.trunk.tensors import read_state
from regraft.tune.generation import Generation
from regraft.tune.job import Work, no_work

__all__ = ["merge"]


def merge(
    names: Sequence[str], *, method: str = GREEDY, data: str | None = None, name: str | None = None, accept_forgetting: str | None = None,
    store: str | Path | None = None, work: Work = no_work,
) -> Generation:  # fmt: skip
    """Merge generations of one architecture that started from the same weights; the merge is a generation with all of them as parents.

    ``method``: uniform, greedy, wise_ft, task_arithmetic, ties, dare, with options in brackets (``grow.methods``). ``data``: what to measure
    on; by default the data that all of them learnt. ``name``: by default that of the first and the method's. ``accept_forgetting``: a reason to record
    the merge although it is worse than the best of its parents; without one that is a ``GateRefused`` and nothing is stored.
    Raises ``RequestError`` where the generations cannot be merged.
    """
    where = lineage.Store.locate(store)
    how = parse(method)
    found, ancestor = related(where, names)
    if how.name == WISE_FT and len(found) != 2:
        raise RequestError(
            f"merge {', '.join(names)} by wise_ft", f"{len(found)} generations", "two of them, the parent first; for more: --method greedy"
        )
    began = time.perf_counter()
    relatives = [open_relative(where, one) for one in found]
    check_edits(relatives)
    mixture = Mixture(relatives, _start(where, found, ancestor))
    examples = open_examples(found, relatives[0].rebuilt, mixture.classes, data=data, work=work)
    merging = Merging(store=where, mixture=mixture, examples=examples, method=how, common=data is None)
    merging.choose()
    accepted = _gate(merging, accept_forgetting)
    facts = merged.Facts(accepted=accepted, data=data, ancestor=ancestor, seconds=time.perf_counter() - began)
    return merged.record(where, merging, facts, name or f"{found[0].name}-{how.name}")


@dataclass(eq=False, kw_only=True)
class Merging:
    """The merge as it comes to be. ``method``: once chosen, with its dial where it stands. ``members``: indices of the models that are in it.
    ``common``: are the examples those that all of them learnt from? ``tried``: what was scored on valid on the way.
    ``edits``: records of those that stand in the network."""

    store: lineage.Store
    mixture: Mixture
    examples: Examples
    method: Method
    common: bool
    members: tuple[int, ...] = ()
    tried: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    edits: list[dict[str, Any]] = field(default_factory=list)
    _answers: dict[tuple[int, str], NDArray[np.float32]] = field(default_factory=dict)
    _logits: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    _spare: Network | None = None

    @property
    def relatives(self) -> Sequence[Relative]:
        return self.mixture.relatives

    @property
    def headline(self) -> str:
        return self.relatives[0].rebuilt.task.headline

    @cached_property
    def network(self) -> Network:
        """The merged model; asked for once everything is chosen. Updates that were LoRA in all of them are LoRA in it."""
        found = self._loaded(self.mixture.average(self.members) if self.method.name == GREEDY else self.mixture.at(self.method))
        if (weights := weights_of(self.method, len(self.members))) is not None:
            members = [self.relatives[index].record for index in self.members]
            self.edits += [record.json() for record in stand_as_lora(found, self.store, members, weights)]
        return found

    def choose(self) -> None:
        """Settle what the method leaves open, on valid; then the network stands."""
        self.members = tuple(range(len(self.relatives)))
        self.edits = list(self.relatives[0].edits)
        self._warn_of_seen()
        if self.method.name == GREEDY:
            self._choose_members()
        elif self.method.dial and self.method.options[self.method.dial] is None:
            self._choose_dial()

    def score(self, split: str, probabilities: NDArray[np.float32]) -> float:
        """The headline metric, higher being better."""
        document = self.document(split, probabilities)
        value = document["metrics"][self.headline]["value"]
        return -value if self.headline in LOWER_IS_BETTER else value

    def document(self, split: str, probabilities: NDArray[np.float32]) -> dict[str, Any]:
        return self.relatives[0].rebuilt.task.document(probabilities, self.examples.targets(split), self.mixture.classes)

    def logits(self, split: str) -> NDArray[np.float32]:
        """Of the merge, each split computed once."""
        if split not in self._logits:
            self._logits[split] = self.examples.logits(self.network, split)
        return self._logits[split]

    def own(self, split: str) -> NDArray[np.float32]:
        return self.examples.answers(self.logits(split))

    def answers(self, index: int, split: str) -> NDArray[np.float32]:
        """(n, k) probabilities of a parent, each split computed once."""
        if (index, split) not in self._answers:
            parent = self.relatives[index]
            self._answers[index, split] = self.examples.probabilities(parent.rebuilt.network, split, parent.classes)
        return self._answers[index, split]

    @cached_property
    def best(self) -> int:
        """Index of the best parent: on valid, or on test where that is all there is."""
        split = self.examples.splits[0]
        return max(range(len(self.relatives)), key=lambda index: self.score(split, self.answers(index, split)))

    def verdicts(self) -> dict[str, Verdict]:
        """Split -> the merge against the best parent, valid first."""
        return {split: self.verdict(split) for split in self.examples.splits}

    def verdict(self, split: str) -> Verdict:
        """The merge against the best parent on the same examples."""
        targets = self.examples.targets(split)
        mine, theirs = (answers.argmax(axis=1) == targets for answers in (self.own(split), self.answers(self.best, split)))
        return paired(mine, theirs)

    def _choose_members(self) -> None:
        lists = {frozenset(one.classes) for one in self.relatives}
        if "valid" not in self.examples.splits:
            raise RequestError(
                "a greedy soup",
                f"{self.examples.dataset.reference} has no valid split to choose on",
                f"--method {UNIFORM}, or data with a valid split",
            )
        if len(lists) > 1:
            raise RequestError(
                "a greedy soup",
                "the models know different classes, so one cannot stand in for another",
                f"--method {UNIFORM}, or task_arithmetic",
            )
        soup = greedy_soup(len(self.relatives), self.mixture.average, self._tried)
        self.members = soup.members
        names = [one.name for one in self.relatives]
        self.tried = [{"members": [names[i] for i in attempt.members], "value": self._value(attempt.score)} for attempt in soup.tried]

    def _choose_dial(self) -> None:
        dial = self.method.dial or ""
        if "valid" not in self.examples.splits:
            self.method = self.method.at(self.method.default(len(self.relatives)))
            self.warnings.append(f"no valid split to choose {dial} on: it stands at {self.method.options[dial]:g}")
            return
        places = [self.method.at(value) for value in GRIDS[self.method.name]]
        scores = [self._tried(self.mixture.at(place)) for place in places]
        self.tried = [{dial: place.options[dial], "value": self._value(score)} for place, score in zip(places, scores, strict=True)]
        self.method = places[int(np.argmax(scores))]

    def _tried(self, state: State) -> float:
        return self.score("valid", self.examples.answers(self.examples.logits(self._loaded(state), "valid")))

    def _value(self, score: float) -> float:
        return -score if self.headline in LOWER_IS_BETTER else score

    def _loaded(self, state: State) -> Network:
        """The one network that tries every merge, with these weights."""
        if self._spare is None:
            self._spare = merged.empty(self.store, self.relatives[0], len(self.mixture.classes))
        self._spare.load_state_dict(state)
        return self._spare

    def _warn_of_seen(self) -> None:
        for split in self.examples.splits:
            for one in self.relatives:
                held_out = (
                    split == "valid" and self.common and not one.record.manifest["plan"]["settings"]["refit"]
                )  # it watched, and did not teach
                if not held_out and (count := self.examples.seen_by(self.store, one.record, split)):
                    n = len(self.examples.encoded[split])
                    what = "choosing on them favours it" if split == "valid" else "these figures are no test of it"
                    self.warnings.append(f"{one.name} was trained on {count:,} of the {n:,} {split} examples: {what}")


def _start(store: lineage.Store, found: Sequence[lineage.Generation], ancestor: lineage.Generation | None) -> State:
    """The trunk that all of them started from: their nearest common ancestor's, else the pretrained one."""
    if ancestor is not None:
        return open_relative(store, ancestor).part("host.")
    return read_state(store.tensor_files(store.read("bases", found[0].base or "")))


def _gate(merging: Merging, reason: str | None) -> str | None:
    """The reason for which it is recorded although it is worse. Raises ``GateRefused`` where nobody gave one. Test is not touched for this
    where there is valid."""
    split = merging.examples.splits[0]
    found = worse(merging, split)
    if found is None:
        return None
    if reason:
        return reason
    raise GateRefused(
        f"merge {', '.join(one.name for one in merging.relatives)} by {merging.method.text}",
        f"worse than {merging.relatives[merging.best].name} alone on {split}: {found}; nothing was stored",
        "another --method (greedy keeps only what helps), or --accept-forgetting 'why'",
    )


def worse(merging: Merging, split: str) -> str | None:
    """How the merge is worse than the best parent, as a whole or in a class; ``None`` where it is not, beyond the noise."""
    verdict = merging.verdict(split)
    if verdict.verdict == "worse":
        d = verdict.difference
        return f"accuracy {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}] on the same {d.n:,} examples"
    examples = merging.examples
    targets = [examples.classes[index] for index in examples.targets(split)]
    rows = lost(retention(examples.names(split, merging.answers(merging.best, split)), examples.names(split, merging.own(split)), targets))
    told = [f"{row['class'] or 'all classes'} {row['before']:.2f} -> {row['after']:.2f} (n={row['n']}, {row['why']})" for row in rows]
    return "; ".join(told[:3]) or None
