"""DistilBERT (1910.01108): stem = embeddings, blocks.i = transformer.layer.i; features (B, L, width), pooled by mean."""

from __future__ import annotations

from typing import Any

from regraft.trunk.families.transformers_layout import Layout, is_transformer, run_hidden_states, text_input, view_layout
from regraft.trunk.trunk import Trunk

LAYOUT = Layout(stems=(("embeddings",),), blocks=("transformer.layer",))


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "distilbert"):
        return None
    defaults: dict[str, Any] = {"input": text_input(host), "family": "distilbert", "pooling": "mean", "run": run_hidden_states}
    return view_layout(host, LAYOUT, **defaults | facts)
