"""Of a table of word vectors, move only the rows that the data name.

A text model's table has a row for each of some 30,000 pieces; a data set names a few thousand of them. The gradient of all others is zero in every step, and so
are their moments: what AdamW would do to them is weight decay and nothing else. They are left as they came, and a step no longer reads and
writes a gradient, two moments and a weight for each of them.

ids --> place (V,) --> values (R, width)   a leaf of its own, which the optimiser has in the table's stead; written back after every step
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.data.batching import evaluation_batches
from regraft.data.encode import Encoded
from regraft.plan.plan import Plan
from regraft.train.groups import Moving
from regraft.trunk.network import Network

WORTH = 1 << 20
"""Numbers in rows that are never named, from which on leaving them alone shows in the time of a step."""
CHUNK = 512


class UsedRows:
    """``table`` of a network that trains, and ``used`` (R,) int64, the rows that its training data name, in ascending order."""

    def __init__(self, table: nn.Embedding, used: Tensor) -> None:
        self.table, self.used = table, used
        self.values = nn.Parameter(table.weight.detach()[used].clone())
        self.place = torch.full((table.num_embeddings,), -1, dtype=torch.int64, device=used.device)
        self.place[used] = torch.arange(len(used), device=used.device)
        padding = None if table.padding_idx is None else int(self.place[table.padding_idx])
        self.padding = padding if padding != -1 else None
        self.stands = False
        self._hook = table.register_forward_hook(self._looked_up, with_kwargs=True)

    def stand_in(self, chosen: Iterable[Moving]) -> list[Moving]:
        """``chosen``, with the rows in the place of the table where a phase moves it."""
        chosen = list(chosen)
        self.stands = any(one.parameter is self.table.weight for one in chosen)
        self.read()
        return [replace(one, parameter=self.values) if one.parameter is self.table.weight else one for one in chosen]

    @torch.no_grad()
    def read(self) -> None:
        """Take the values that stand in the table."""
        self.values.copy_(self.table.weight[self.used])

    @torch.no_grad()
    def write(self) -> None:
        """Put the values into the table, where all but the training step finds them."""
        if self.stands:
            self.table.weight.index_copy_(0, self.used, self.values)

    def remove(self) -> None:
        self._hook.remove()

    def _looked_up(self, table: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor | None:
        """Without a gradient the table itself answers, for it knows words that the training data do not name."""
        if not (self.stands and torch.is_grad_enabled()):
            return None
        return functional.embedding(self.place[args[0] if args else kwargs["input"]], self.values, padding_idx=self.padding)


def used_rows(network: Network, plan: Plan, train: Encoded) -> UsedRows | None:
    """The rows that ``train`` names of the table at the door of ``network``; ``None`` where no phase moves it, or little would be saved."""
    table = _table(network)
    if table is None or not any(phase.cells[0].trainable and phase.cells[0].only == "all" for phase in plan.phases):
        return None
    used = torch.from_numpy(np.flatnonzero(_named(train, table.num_embeddings, network.trunk.tokenizer))).to(table.weight.device)
    unused = (table.num_embeddings - len(used)) * table.embedding_dim
    return UsedRows(table, used) if unused >= WORTH else None


def _table(network: Network) -> nn.Embedding | None:
    """The plain table that turns ids into vectors, if nothing else in the network reads its weights."""
    if network.trunk.ties_head:
        return None
    ask = getattr(network.trunk.host, "get_input_embeddings", None)
    table = ask() if network.trunk.input.kind == "text" and ask else None
    if type(table) is not nn.Embedding or table.max_norm is not None or table.scale_grad_by_freq or table.sparse:
        return None
    holders = [module for module in network.modules() for parameter in module.parameters(recurse=False) if parameter is table.weight]
    return table if len(holders) == 1 else None


def _named(train: Encoded, num_rows: int, tokenizer: Any) -> np.ndarray:
    """(V,) bool. Special pieces are counted in: augmentation may put them where none was."""
    named = np.zeros(num_rows, dtype=bool)
    named[[i for i in tokenizer.all_special_ids if i < num_rows] if tokenizer is not None else []] = True
    for rows in evaluation_batches(len(train), CHUNK, lengths=train.lengths):
        named[train.batch(rows)["input_ids"].numpy().ravel()] = True
    return named
