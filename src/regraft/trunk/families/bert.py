"""BERT (1810.04805) and the encoders built like it: RoBERTa, ELECTRA, MiniLM, CamemBERT, XLM-RoBERTa.

    stem       embeddings (ELECTRA: with the projection behind them)
    blocks.i   encoder.layer.i

Features are the last hidden states (B, L, width). The pooler is no part of them: it counts as the host's own classifier, and
``load`` builds the model without one. Pooling is by mean unless the model describes another (1908.10084 measures why).
"""

from __future__ import annotations

from typing import Any

from regraft.trunk.families.transformers_layout import Layout, is_transformer, run_hidden_states, text_input, view_layout
from regraft.trunk.trunk import Trunk

LAYOUT = Layout(stems=(("embeddings", "embeddings_project"),), blocks=("encoder.layer",), head=("pooler",))
OFFSET = ("roberta", "xlm-roberta", "camembert")


def view(host: Any, **facts: Any) -> Trunk | None:
    if not is_transformer(host, "bert", "electra", *OFFSET):
        return None
    reserved = host.config.pad_token_id + 1 if host.config.model_type in OFFSET else 0
    defaults: dict[str, Any] = {"input": text_input(host, reserved=reserved), "family": "bert", "pooling": "mean", "run": run_hidden_states}
    return view_layout(host, LAYOUT, **defaults | facts)
