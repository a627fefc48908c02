"""All heads of a generation at once: its own and the further ones. Those that stand on the very same trunk answer from one pass over it; a head with
numbers of its own in the trunk (LoRA, say), or one that was grown on an earlier trunk, runs by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.batching import evaluation_batches
from regraft.data.encode import prepare
from regraft.evaluate import predict
from regraft.lineage.heads import heads
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.serve import rebuild
from regraft.serve.predictor import BATCH_SIZE, Predictor
from regraft.serve.rebuild import Rebuilt
from regraft.tasks.inputs import Input
from regraft.trunk.network import HEAD

SAME = ("source", "input", "pooling")
HEADS = "heads"


@final
class Heads:
    """``first``: the generation itself; ``sharing``: the further heads on its trunk, by name; ``apart``: those that need a pass of their own. Heads that
    read another form of input (pairs of texts, where the first reads single ones) are neither."""

    def __init__(self, first: Predictor, sharing: Mapping[str, Rebuilt], apart: Mapping[str, Predictor]) -> None:
        self.first, self.sharing, self.apart = first, dict(sharing), dict(apart)

    @classmethod
    def load(cls, store: Store, reference: str, *, device: torch.device | str | None = None) -> Heads:
        """Those of the generation that ``reference`` means (a name, tag or digest)."""
        generation = store.get(reference)
        first = Predictor.load(store, generation.digest, device=device)
        sharing, apart = {}, {}
        for name, one in heads(store, generation).items():
            rebuilt = rebuild.network(store, one.digest)
            if rebuilt.task.form.parts != first.task.form.parts:
                continue  # it reads pairs, say, where this one reads single texts
            reads_more = any(each.reads_maps or each.reads_columns for each in (first.network, rebuilt.network))
            if not reads_more and _on_same_trunk(store, generation, one):
                rebuilt.network.head.to(first.device)
                sharing[name] = rebuilt
            else:
                apart[name] = Predictor(rebuilt, device=first.device)
        return cls(first, sharing, apart)

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """What ``Predictor.predict`` says of each of ``inputs``, with ``heads``: what each further head says of it, by name."""
        if not len(inputs):
            return []
        own, theirs = self._answers(inputs)
        rows = self.first.task.predictions(own, self.first.classes, inputs)
        further = {name: one.task.predictions(theirs[name], one.classes, inputs) for name, one in self.sharing.items()}
        further |= {name: predictor.predict(inputs) for name, predictor in self.apart.items()}
        return [
            {**row, HEADS: {name: _less_input(found[place]) for name, found in sorted(further.items())}} for place, row in enumerate(rows)
        ]

    def _answers(self, inputs: Sequence[Input]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """Of the first head, and of those that share its trunk: one pass over the trunk, batch after batch."""
        first, encoded = self.first, self.first.encode(inputs)
        batches = list(evaluation_batches(len(encoded), BATCH_SIZE, lengths=encoded.lengths))
        waiting: dict[str, list[Tensor | list[NDArray[Any]]]] = {name: [] for name in self.sharing}

        def forward(rows: NDArray[np.integer]) -> Tensor | list[NDArray[Any]]:
            given = prepare(encoded.batch(rows), first.rebuilt.spec, device=first.device)
            features, mask = first.network.trunk.features(given), given.get("attention_mask")
            for name, one in self.sharing.items():
                waiting[name].append(one.task.kept(one.network.head(features, mask), encoded.target_batch(rows)))
            return first.task.kept(first.network.head(features, mask), encoded.target_batch(rows))

        own = first.task.answers(predict.logits(forward, ((rows, rows) for rows in batches)))
        told = {name: zip(batches, found, strict=True) for name, found in waiting.items()}
        return own, {name: self.sharing[name].task.answers(predict.logits(lambda found: found, rows)) for name, rows in told.items()}


def _on_same_trunk(store: Store, one: Generation, other: Generation) -> bool:
    """Do the heads of both read the very same features?"""
    if any(one.manifest[key] != other.manifest[key] for key in SAME) or _edits(one) != _edits(other):
        return False
    lengths = [each.manifest["plan"]["settings"].get("max_length", 0) for each in (one, other)]
    stored = [{name: row["digest"] for name, row in store.table(each).items() if name.startswith("host.")} for each in (one, other)]
    return lengths[0] == lengths[1] and stored[0] == stored[1]


def _edits(generation: Generation) -> list[Any]:
    """Those in the trunk."""
    return [row for row in generation.manifest["edits"] if row["stage"] != HEAD]


def _less_input(prediction: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in prediction.items() if key != "input"}
