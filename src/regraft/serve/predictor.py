"""Predictions from a generation: inputs in, labels with probabilities out. Knows neither plans nor training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.data.batching import evaluation_batches
from regraft.data.dataset import unlabelled
from regraft.data.encode import Encoded, encode, prepare
from regraft.evaluate import predict
from regraft.lineage.store import Store
from regraft.serve import rebuild
from regraft.serve.rebuild import Rebuilt
from regraft.tasks import Task
from regraft.tasks.inputs import Input, given
from regraft.trunk.network import Network

BATCH_SIZE = 64


@final
class Predictor:
    """A rebuilt network that is ready to answer, on the GPU where there is one."""

    def __init__(self, rebuilt: Rebuilt, *, device: torch.device | str | None = None) -> None:
        self.rebuilt = rebuilt
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        rebuilt.network.to(self.device)

    @classmethod
    def load(cls, store: Store, name: str, *, device: torch.device | str | None = None, head: str | None = None) -> Predictor:
        """The predictor of the generation that ``name`` means (a name, tag or digest); with ``head`` of one of several tasks that it learned together."""
        return cls(rebuild.network(store, name, head=head), device=device)

    @property
    def network(self) -> Network:
        return self.rebuilt.network

    @property
    def task(self) -> Task:
        return self.rebuilt.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.rebuilt.classes

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """One object for each of ``inputs``, in their order: ``{input, label, probability, top}``, or what else the task gives. An input is a text, a
        path of an image, a pair of texts, or the words of a sentence."""
        if self.task.respond is not None:
            return self.respond(given(inputs, self.task.form))
        return self.task.predictions(self.answers(inputs), self.classes, inputs) if len(inputs) else []

    def respond(self, inputs: Sequence[str]) -> list[dict[str, Any]]:
        """What the model itself says to ``inputs``, as a split holds them."""
        rebuilt = self.rebuilt
        assert self.task.respond is not None
        return (
            self.task.respond(self.network, rebuilt.tokenizer, inputs, rebuilt.max_length or rebuilt.spec.max_length) if len(inputs) else []
        )

    def answers(self, inputs: Sequence[Input] | Encoded) -> NDArray[Any]:
        """(n, ...) as the task answers: probabilities (n, k) float32, numbers (n,), ...; of inputs, or of a split that is encoded for this model."""
        encoded = inputs if isinstance(inputs, Encoded) else self.encode(inputs)

        def forward(rows: NDArray[np.integer]) -> Tensor | list[NDArray[Any]]:
            logits: Tensor = self.network(prepare(encoded.batch(rows), self.rebuilt.spec, device=self.device))
            return self.task.kept(logits, encoded.target_batch(rows))

        batches = evaluation_batches(len(encoded), BATCH_SIZE, lengths=encoded.lengths, token_budget=encoded.most_together)
        return self.task.answers(predict.logits(forward, ((rows, rows) for rows in batches)))

    def encode(self, inputs: Sequence[Input]) -> Encoded:
        """``inputs`` as this model reads them. Raises ``DataError`` where an image cannot be read."""
        rebuilt, form = self.rebuilt, self.task.form
        split = unlabelled(given(inputs, form), form, len(self.classes), self.task.facts)
        encoded = encode(split, rebuilt.spec, rebuilt.tokenizer, max_length=rebuilt.max_length)
        encoded.wait()
        return encoded
