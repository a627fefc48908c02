"""The output layer of a language model, as the head of a network: the host's own, taken off its place and put on top.

Where it is tied to the embedding (one table for reading and for saying), the head has no parameter of its own: the table stands in the stem, is frozen and
trained with it, and is stored once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from regraft.errors import RequestError
from regraft.trunk.trunk import Trunk


class LanguageHead(nn.Module):
    """Features (B, L, width) to logits (B, L, vocabulary). ``linear``: the host's own layer, ``None`` where the embedding stands in for it."""

    def __init__(self, embedding: nn.Module | None, linear: nn.Module | None) -> None:
        super().__init__()
        self._embedding = (embedding,)  # in a tuple: it is the stem's, not a part of this module
        self.linear = linear

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.linear is not None:
            said: Tensor = self.linear(features)
            return said
        return nn.functional.linear(features, self.table)

    @property
    def table(self) -> Tensor:
        """(vocabulary, width) weights."""
        source: Any = self._embedding[0] if self.linear is None else self.linear
        weight: Tensor = source.weight
        return weight


def language_head(trunk: Trunk) -> LanguageHead:
    """The head of ``trunk``. Raises ``RequestError`` for a model that does not say what comes next."""
    asked = f"go on with a text by {trunk.reference or trunk.family}"
    own: Any = trunk.own_head
    if own is None or trunk.pooling != "last":
        raise RequestError(asked, "it has no output layer for the next token", "a decoder with its language head, such as hf:gpt2")
    host: Any = trunk.host
    embedding = host.get_input_embeddings()
    return LanguageHead(embedding, None) if trunk.ties_head else LanguageHead(None, own)


@contextmanager
def speaking(host: Any, head: LanguageHead) -> Iterator[Any]:
    """``host`` with its output layer back in its place, as its own ``generate`` and ``save_pretrained`` know it."""
    place = host.get_output_embeddings()
    layer = head.linear
    if layer is None:
        layer = nn.Linear(head.table.shape[1], head.table.shape[0], bias=False, device="meta")
        layer.weight = host.get_input_embeddings().weight
    host.set_output_embeddings(layer)
    try:
        yield host
    finally:
        host.set_output_embeddings(place)
