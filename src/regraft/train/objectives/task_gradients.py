"""The gradient of each task by itself, in parameters that the tasks share, over the parts of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regraft.train.run import Run


class TaskGradients:
    """``rows`` (T, P): of each task, flat; ``P`` is 0 before anything was added."""

    def __init__(self, num_tasks: int) -> None:
        self.num_tasks, self.shared = num_tasks, list[nn.Parameter]()
        self.rows = torch.zeros(num_tasks, 0)

    def start(self, shared: Sequence[nn.Parameter]) -> None:
        """A gradient is made from here on; ``shared``: the parameters looked at."""
        self.shared = list(shared)
        self.forget()

    def forget(self) -> None:
        self.rows = torch.zeros(self.num_tasks, 0)

    def add(self, each: Tensor, *, count: float) -> None:
        """One more part: losses (B, T) that hang on the graph; ``count``: examples of the whole batch."""
        if not self.shared:
            return
        found = torch.stack([self._of(losses.sum() / count) for losses in each.unbind(1)])
        self.rows = self.rows + found if self.rows.shape[1] else found

    def _of(self, loss: Tensor) -> Tensor:
        parts = torch.autograd.grad(loss, self.shared, retain_graph=True, allow_unused=True)
        return torch.cat([(torch.zeros_like(p) if part is None else part).reshape(-1) for part, p in zip(parts, self.shared, strict=True)])

    def norms(self, run: Run) -> Tensor:
        """(T,) of the whole batch, of all processes; empty where nothing is shared."""
        return torch.linalg.vector_norm(run.ranks.total(self.rows), dim=1) if self.rows.shape[1] else self.rows.new_zeros(0)
