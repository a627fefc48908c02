"""GPT-2 (Radford et al. 2019): stem = token and position tables with dropout, blocks.i = h.i, neck = ln_f.

Features are the last hidden states (B, L, width); a head reads the last token that is not padding.
"""

from __future__ import annotations

from typing import Any

from regraft.trunk.families.transformers_layout import Layout, is_transformer, run_decoder, text_input, view_layout
from regraft.trunk.trunk import Trunk

LAYOUT = Layout(stems=(("wte", "wpe", "drop"),), blocks=("h",), neck=("ln_f",))


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "gpt2"):
        return None
    defaults: dict[str, Any] = {"input": text_input(host), "family": "gpt2", "pooling": "last", "run": run_decoder}
    return view_layout(host, LAYOUT, **defaults | facts)
