"""Predictions from a generation: inputs in, labels with probabilities out. Knows neither plans nor training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from regraft.data.batching import evaluation_batches
from regraft.data.dataset import Split
from regraft.data.encode import Encoded, encode, prepare
from regraft.errors import RequestError
from regraft.evaluate import predict
from regraft.lineage.store import Store
from regraft.serve import rebuild
from regraft.serve.rebuild import Rebuilt
from regraft.tasks import Task
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

BATCH_SIZE = 64


@final
class Predictor:
    """A rebuilt network that is ready to answer, on the GPU where there is one."""

    def __init__(self, rebuilt: Rebuilt, *, device: torch.device | str | None = None) -> None:
        self.rebuilt = rebuilt
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        rebuilt.network.to(self.device)

    @classmethod
    def load(cls, store: Store, name: str, *, device: torch.device | str | None = None) -> Predictor:
        """The predictor of the generation that ``name`` means (a name, tag or digest)."""
        return cls(rebuild.network(store, name), device=device)

    @property
    def network(self) -> Network:
        return self.rebuilt.network

    @property
    def task(self) -> Task:
        return self.rebuilt.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.rebuilt.classes

    def predict(self, inputs: Sequence[str]) -> list[dict[str, Any]]:
        """One object for each of ``inputs``, texts or paths of images, in their order: ``{input, label, probability, top}``."""
        return self.task.predictions(self.probabilities(inputs), self.classes, inputs) if len(inputs) else []

    def probabilities(self, inputs: Sequence[str] | Encoded) -> NDArray[np.float32]:
        """(n, k) float32, for texts, paths of images, or a split that is encoded for this model already."""
        encoded = inputs if isinstance(inputs, Encoded) else self.encode(inputs)
        return self.task.probabilities(predict.logits(self.network, self._batches(encoded)))

    def encode(self, inputs: Sequence[str]) -> Encoded:
        """``inputs`` as this model reads them. Raises ``DataError`` where an image cannot be read."""
        if isinstance(inputs, str):
            raise RequestError(f"predict {inputs[:40]!r}", "one text where a list of them is expected", "predict([...])")
        rebuilt, count = self.rebuilt, len(inputs)
        columns = {"input": list(inputs), "target": np.zeros(count, np.int64), "digest": [""] * count, "where": list(inputs)}
        encoded = encode(Split("predict", pa.table(columns)), rebuilt.spec, rebuilt.tokenizer, max_length=rebuilt.max_length)
        encoded.wait()
        return encoded

    def _batches(self, encoded: Encoded) -> Iterator[tuple[NDArray[np.integer], Inputs]]:
        for rows in evaluation_batches(len(encoded), BATCH_SIZE, lengths=encoded.lengths):
            yield rows, prepare(encoded.batch(rows), self.rebuilt.spec, device=self.device)
