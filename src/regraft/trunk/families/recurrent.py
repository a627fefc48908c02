"""Recurrent networks over word vectors (``trunk.vectors.recurrent``): embedding, recurrent.i, attention where there is one.

Features are one vector for a text, as its attention sees it, or without attention one for each word, of which a head takes the mean.
"""

from __future__ import annotations

from typing import Any

from regraft.spec import InputSpec
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk
from regraft.trunk.vectors.recurrent import RecurrentNetwork


def view(host: Any, **facts: Any) -> Trunk | None:
    if not isinstance(host, RecurrentNetwork):
        return None
    paths = ["embedding", *(f"recurrent.{index}" for index in range(len(host.recurrent))), *(["attention"] if host.attention else [])]
    defaults: dict[str, Any] = {"width": host.width, "pooling": "none" if host.attention else "mean", "family": "recurrent", "run": run}
    return Trunk(host=host, stages=tuple(Stage(path, (path,)) for path in paths), **{"input": InputSpec(kind="text"), **defaults, **facts})


def run(host: Any, inputs: Inputs) -> Any:
    return host(inputs["input_ids"], inputs.get("attention_mask"))
