"""A merge as it comes to be: what is in it is chosen on valid, and it is compared with the best of its parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft import lineage
from regraft.errors import RequestError
from regraft.evaluate.compare import Verdict, paired
from regraft.grow.as_lora import stand_as_lora, weights_of
from regraft.grow.examples import Examples
from regraft.grow.methods import GREEDY, GRIDS, UNIFORM, Method
from regraft.grow.mixture import Mixture
from regraft.grow.relatives import Relative, open_relative
from regraft.spec import LOWER_IS_BETTER
from regraft.surgery.average import State, greedy_soup
from regraft.trunk.network import Network


@dataclass(eq=False, kw_only=True)
class Merging:
    """``method``: once chosen, with its dial where it stands. ``members``: indices of the models that are in it.
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
            self._spare = _empty(self.store, self.relatives[0], len(self.mixture.classes))
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


def _empty(store: lineage.Store, relative: Relative, num_classes: int) -> Network:
    """A network like the relative's, in memory of its own, with a head for so many classes; its weights mean nothing yet."""
    twin = open_relative(store, relative.record).rebuilt
    if len(twin.classes) != num_classes:
        twin.network.head = twin.task.head(twin.network.trunk, num_classes, 0.0).requires_grad_(False).eval()
    return twin.network
