"""DeBERTa (2006.03654) and DeBERTa-v2/v3 (2111.09543).

    stem       embeddings, with the table of relative positions that every block reads, and its norm
    blocks.i   encoder.layer.i; in the largest v2 models blocks.0 also holds the convolution behind it

Features are the last hidden states (B, L, width), pooled by mean.
"""

from __future__ import annotations

from typing import Any

from regraft.trunk.families.transformers_layout import Layout, is_transformer, run_hidden_states, text_input, view_layout
from regraft.trunk.trunk import Trunk

LAYOUT = Layout(
    stems=(("embeddings", "encoder.LayerNorm"),),
    extras=("encoder.rel_embeddings.weight",),
    blocks=("encoder.layer",),
    after_block=((0, "encoder.conv"),),
)


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "deberta", "deberta-v2"):
        return None
    defaults: dict[str, Any] = {"input": text_input(host), "family": "deberta", "pooling": "mean", "run": run_hidden_states}
    return view_layout(host, LAYOUT, **defaults | facts)
