"""A few inputs as a model takes them, on which two forms of it are compared: texts or clips of different lengths, or noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from regraft.data.dataset import unlabelled
from regraft.data.decode import Framing
from regraft.data.encode import encode, prepare
from regraft.data.sound import GRAIN
from regraft.serve.rebuild import Rebuilt
from regraft.tasks.inputs import given
from regraft.trunk.trunk import Inputs

TEXTS = ("where is my card", "the quick brown fox jumps over the lazy dog, twice", "no")
NUM_IMAGES = 3
CLIPS_S = (0.8, 0.4, 1.2)


def inputs(rebuilt: Rebuilt) -> Inputs:
    if rebuilt.spec.kind == "image":
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (NUM_IMAGES, 3, *Framing.of(rebuilt.spec).size)).astype(np.uint8)
        return prepare({"image": torch.from_numpy(pixels)}, rebuilt.spec)
    if rebuilt.spec.kind == "audio":
        return prepare(_clips(rebuilt), rebuilt.spec)
    form = rebuilt.task.form
    texts = list(zip(TEXTS, reversed(TEXTS), strict=True)) if form.parts == "pair" else TEXTS
    split = unlabelled(given(texts, form), form, len(rebuilt.classes))
    encoded = encode(split, rebuilt.spec, rebuilt.tokenizer, max_length=rebuilt.max_length)
    return prepare(encoded.batch(np.arange(len(TEXTS))), rebuilt.spec)


def _clips(rebuilt: Rebuilt) -> dict[str, Tensor]:
    """Noise of different lengths, as ``SoundEncoded`` hands it out."""
    lengths = torch.tensor([round(seconds * (rebuilt.spec.sample_rate or 1)) for seconds in CLIPS_S])
    width = -(-int(lengths.max()) // GRAIN) * GRAIN
    mask = torch.arange(width) < lengths[:, None]
    noise = torch.rand(len(lengths), width, generator=torch.Generator().manual_seed(0)) - 0.5
    return {"input_values": noise * mask, "attention_mask": mask.long()}
