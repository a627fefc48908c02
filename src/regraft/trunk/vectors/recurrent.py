"""The classic text network: word vectors, recurrent layers that read both ways, attention over the words.

    ids (B, L) -> [embedding] -> [recurrent.0] ... [recurrent.n] -> [attention] -> features (B, 2 width)
                                                                 without it     -> features (B, L, 2 width), one for each word

LSTM (Hochreiter and Schmidhuber 1997), GRU (Cho et al. 2014, 1406.1078), attention over words (Yang et al. 2016, N16-1174).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Cell = Literal["gru", "lstm"]
CELLS: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """(B, L, into) and which places are words (B, L) to (B, L, 2 width): one direction beside the other.

    Rows are padded on the right, and the second direction reads each row from its own last word, so padding changes nothing; in place of a
    packed sequence, whose shapes would depend on values, so that the layer can be run on shapes alone and skipped by the cache.
    """

    def __init__(self, cell: Cell, into: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.there = CELLS[cell](into, width)
        self.back = CELLS[cell](into, width)

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        """``order`` (B, L): the places of each row from its last word to its first, the padding where it is (``turned``)."""
        x = self.dropout(x)
        with torch.autocast(x.device.type, enabled=False):  # the cells have no half precision on a CPU
            x = x.float()
            there, back = _read(self.there, x), _read(self.back, rearranged(x, order))
            return torch.cat([there, rearranged(back, order)], -1)


class Attention(nn.Module):
    """(B, L, width) to (B, width): the mean of the words, each weighted by how well it answers one learned question."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width)
        self.question = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        scores = self.question(torch.tanh(self.key(x)))[..., 0].masked_fill(~mask, -torch.inf)
        return (x * scores.float().softmax(1).to(x.dtype)[..., None]).sum(1)


class RecurrentNetwork(nn.Module):
    """``rows`` vectors of ``dims`` numbers, row 0 being padding; ``layers`` of ``width`` in each direction."""

    def __init__(
        self, *, rows: int, dims: int, cell: Cell = "gru", width: int = 128, layers: int = 1, dropout: float = 0.0, attention: bool = True
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, dims, padding_idx=0)
        into = (dims, *(2 * width,) * (layers - 1))
        self.recurrent = nn.ModuleList(Recurrent(cell, size, width, dropout) for size in into)
        self.attention = Attention(2 * width) if attention else None
        self.width = 2 * width

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        mask = torch.ones(input_ids.shape, dtype=torch.bool, device=input_ids.device) if attention_mask is None else attention_mask.bool()
        x, order = self.embedding(input_ids), turned(mask)
        for layer in self.recurrent:
            x = layer(x, order)
        return x if self.attention is None else self.attention(x, mask)


def turned(mask: Tensor) -> Tensor:
    """(B, L) places of each row backwards: its last word first; padding, on the right, keeps its place."""
    places = torch.arange(mask.shape[1], device=mask.device)[None, :]
    lengths = mask.sum(1, keepdim=True)
    return torch.where(places < lengths, lengths - 1 - places, places)


def rearranged(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[-1]))


def _read(cell: nn.GRU | nn.LSTM, x: Tensor) -> Tensor:
    """(B, L, into) to (B, L, width). The start is made from ``x``, and nothing is turned in place, so that where ``x`` is but a shape the
    result is one too."""
    zeros = x[:, :1, :1].detach().clone().zero_().transpose(0, 1).repeat(1, 1, cell.hidden_size)
    states, _ = cell(x.transpose(0, 1), (zeros, zeros) if isinstance(cell, nn.LSTM) else zeros)
    return states.transpose(0, 1)
