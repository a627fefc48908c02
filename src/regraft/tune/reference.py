"""What a run starts from, as the measure of what it learns: of tasks whose answers are compared with those that the network gave before training.

The numbers stand in the place of the targets of each encoded split. They are computed once, without dropout, and kept in the cache by the digests of all weights
and of the examples, so that every run, epoch and competing plan from the same start reads the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from regraft import digest
from regraft.cache import Cache
from regraft.data.encode import Encoded
from regraft.tasks import Task
from regraft.trunk.network import Network
from regraft.trunk.tensors import stage_digest
from regraft.tune import evidence
from regraft.tune.job import Job
from regraft.tune.kept_answers import kept_answers

COLUMNS = 2
"""Numbers of an answer that are compared."""


def refer(job: Job, cache: Cache | None) -> None:
    """Measure the splits of ``job`` against the network that its runs start from, where its task is so measured."""
    if job.task.refers:
        network = job.network(dropout=0.0, seed=0)
        compare(network, job.task, [job.encoded(name) for name in job.dataset.splits], cache)


def compare(network: Network, task: Task, splits: Iterable[Encoded], cache: Cache | None = None) -> None:
    """Put the answers of ``network`` to each of ``splits`` into the place of its targets."""
    weights = [stage_digest(network, index) for index in range(len(network.stage_names))]
    for encoded in splits:
        key = digest.of_json({"reference": weights, "task": task.name, "examples": encoded.fingerprint})
        encoded.targets = kept_answers(cache, key, len(encoded), partial(_answers, network, task, encoded))


def _answers(network: Network, task: Task, encoded: Encoded) -> np.ndarray:
    answers = task.answers(evidence.logits(network, encoded, task=task))
    return np.ascontiguousarray(answers[:, :COLUMNS], np.float32)
