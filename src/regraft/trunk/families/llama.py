"""Llama (2302.13971) and the decoders built like it: Qwen2, Qwen3, Mistral, SmolLM3.

    stem       embed_tokens, with the rotary embedding whose sines every block reads (it has no parameters)
    blocks.i   layers.i
    neck       norm

Features are the last hidden states (B, L, width); a head reads the last token that is not padding.
"""

from __future__ import annotations

from typing import Any

from regraft.trunk.families.transformers_layout import Layout, is_transformer, run_decoder, text_input, view_layout
from regraft.trunk.trunk import Trunk

LAYOUT = Layout(stems=(("embed_tokens", "rotary_emb"),), blocks=("layers",), neck=("norm",))


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "llama", "qwen2", "qwen3", "mistral", "smollm3"):
        return None
    defaults: dict[str, Any] = {"input": text_input(host), "family": "llama", "pooling": "last", "run": run_decoder}
    return view_layout(host, LAYOUT, **defaults | facts)
