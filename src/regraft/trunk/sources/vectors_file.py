"""``vectors:PATH``: word vectors with recurrent layers on them that start from random weights.

vectors:glove.6B.50d.txt                              two directions of 64, attention
vectors:glove.6B.50d.txt?cell=lstm&layers=2&width=256
vectors:glove.6B.50d.txt?attention=no                 a vector for each word: tagging
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.errors import TrunkError, suggest
from regraft.spec import InputSpec
from regraft.trunk.families import view
from regraft.trunk.reference import Reference
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.trunk import Trunk
from regraft.trunk.vectors.read import Vectors, read
from regraft.trunk.vectors.recurrent import CELLS, Cell, RecurrentNetwork
from regraft.trunk.vectors.words import FIRST, WordTokenizer

ASSET = "words.json"
SPREAD = 0.3
"""Of the vectors' standard deviation: that of the random rows for words without one. Small, so that an unknown word says little before it has learned. sst2 with
the 5,050 most frequent words, all learning, 5 epochs, on its dev split and 1,000 held-back training sentences, one seed: 0.789 (log loss 0.51), 0.765 (0.50) at 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What may stand behind the question mark. ``width``: of one direction. ``dropout``: of what enters a recurrent layer. ``words``: the first so
    many of the file are used. ``unknown``: rows shared, by hash, by the words without a vector; that many, so that most have one to themselves. ``length``: words of a text that are read."""

    cell: Cell = "gru"
    width: int = 64
    layers: int = 1
    dropout: float = 0.5
    attention: str = "yes"
    words: int = 100_000
    unknown: int = 16_384
    length: int = 512


def load(reference: Reference, wanted: Wanted) -> Trunk:
    shape = _shape(reference)
    vectors = read(Path(reference.name).expanduser(), shape.words)
    tokenizer = WordTokenizer(vectors.words, unknown=shape.unknown)
    network = {"rows": len(tokenizer), "dims": vectors.table.shape[1], "attention": shape.attention == "yes"}
    network |= {name: getattr(shape, name) for name in ("cell", "width", "layers", "dropout")}
    host = RecurrentNetwork(**network)
    if wanted.pretrained:
        with torch.no_grad():
            host.embedding.weight[FIRST:] = table(vectors, shape.unknown)
            host.embedding.weight[:FIRST] = 0.0
    document = {"words": vectors.words, "unknown": shape.unknown}
    trunk = view(
        host,
        input=InputSpec(kind="text", max_length=shape.length),
        source={"library": "vectors", "network": network},
        assets={ASSET: json.dumps(document, ensure_ascii=False).encode()},
        tokenizer=tokenizer,
    )
    trunk.fresh = trunk.stage_names[1:]
    return trunk


def rebuild(source: dict[str, Any], assets: dict[str, bytes], facts: dict[str, Any]) -> Trunk:
    document = json.loads(assets[ASSET])
    tokenizer = WordTokenizer(document["words"], unknown=document["unknown"])
    return view(RecurrentNetwork(**source["network"]).eval(), **facts, tokenizer=tokenizer)


def table(vectors: Vectors, unknown: int) -> Tensor:
    """(words + unknown, dims): the vectors as they are, and below them random ones that belong to the file, whatever the seed of a run."""
    spread = SPREAD * float(vectors.table.std())
    rng = np.random.default_rng(zlib.crc32(vectors.words[0].encode()))
    rest = rng.normal(0.0, spread, (unknown, vectors.table.shape[1])).astype(np.float32)
    return torch.from_numpy(np.concatenate([vectors.table, rest]))


def _shape(reference: Reference) -> Shape:
    known = {field.name: field.default for field in fields(Shape)}
    for key, value in reference.settings.items():
        if key not in known:
            raise TrunkError(f"model '{reference}'", f"word vectors have no setting {key!r}", suggest(key, known))
        _check(reference, key, value)
    given = {key: float(value) if key == "dropout" else value for key, value in reference.settings.items()}
    return Shape(**{**asdict(Shape()), **given})


def _check(reference: Reference, key: str, value: Any) -> None:
    choices = {"cell": tuple(CELLS), "attention": ("yes", "no")}.get(key)
    if choices:
        if value not in choices:
            raise TrunkError(f"model '{reference}'", f"{key}={value}", suggest(str(value), choices))
    elif key == "dropout":
        if not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise TrunkError(f"model '{reference}'", f"dropout={value}", "dropout from 0 to below 1")
    elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TrunkError(f"model '{reference}'", f"{key}={value}", f"{key}: a whole number from 1")
