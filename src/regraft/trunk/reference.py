"""What a person types to name a model: ``source:name``, with settings behind a question mark. Free of torch.

bundled:minilm   timm:resnet50.a1_in1k   torchvision:alexnet   hf:bert-base-chinese   module:package.function
file:folder      file:weights.safetensors?arch=timm:resnet18&num_classes=12
vectors:glove.6B.50d.txt?cell=lstm&width=256
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from regraft.errors import TrunkError, suggest

SOURCES = ("bundled", "timm", "torchvision", "hf", "file", "vectors", "module")


@dataclass(frozen=True, slots=True)
class Reference:
    """``source`` is one of ``SOURCES``, or empty for a bare name; ``settings`` are what stood behind the question mark."""

    source: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        settings = "&".join(f"{key}={value}" for key, value in self.settings.items())
        return (f"{self.source}:" if self.source else "") + self.name + (f"?{settings}" if settings else "")


def parse(text: str) -> Reference:
    """``text`` taken apart; what it names is not looked at."""
    source, colon, name = text.strip().partition(":")
    if not colon or "/" in source or "\\" in name[:1] or len(source) == 1:  # a bare name, or a path (C:\\... among them)
        source, name = "", text.strip()
    elif source not in SOURCES:
        raise TrunkError(f"model {text!r}", f"{source!r} is no source of models", suggest(source, SOURCES))
    name, _, settings = name.partition("?")
    if not name:
        raise TrunkError(
            f"model {text!r}", "no name stands behind the source", f"{source or 'timm'}:NAME; regraft models lists what is here"
        )
    pairs = (pair.partition("=") for pair in settings.split("&") if pair)
    return Reference(source, name, {key: _value(value) for key, _, value in pairs})


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
