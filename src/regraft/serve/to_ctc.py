"""For transformers, what writes down speech: its own class for connectionist temporal classification, with the vocabulary beside it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import RequestError
from regraft.serve.rebuild import Rebuilt
from regraft.tasks.speech import ended
from regraft.trunk.trunk import Inputs

KIND = "AutoModelForCTC"
BLANK, SPACE = "<pad>", "|"
"""As transformers writes them: its blank is the padding token."""


def write(asked: str, rebuilt: Rebuilt, folder: Path) -> Callable[[Inputs], Tensor]:
    """Raises ``RequestError`` for a head that answers several times a frame, and for tasks on sounds that transformers has no equal class for."""
    import transformers

    head: Any = rebuilt.network.head
    host: Any = rebuilt.network.host
    if rebuilt.task.form.target != "transcript" or head.steps != 1:
        found = (
            "its head answers several times a frame"
            if hasattr(head, "steps")
            else "its classes for sounds put another layer before the classifier"
        )
        raise RequestError(asked, f"transformers has no model that computes the same: {found}", "--to bundle")
    config = copy.deepcopy(host.config)
    config.vocab_size, config.pad_token_id = len(rebuilt.classes) + 1, len(rebuilt.classes)
    model = transformers.AutoModelForCTC.from_config(config)
    model.base_model.load_state_dict(host.state_dict())
    assert isinstance(head.linear, nn.Linear)
    model.lm_head.load_state_dict(head.linear.state_dict())
    model.save_pretrained(folder)
    _vocabulary(rebuilt, folder)
    again = transformers.AutoModelForCTC.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()

    def answer(inputs: Inputs) -> Tensor:
        logits = again(**inputs).logits
        return ended(logits, again._get_feature_vector_attention_mask(logits.shape[1], inputs["attention_mask"]))

    return answer


def _vocabulary(rebuilt: Rebuilt, folder: Path) -> None:
    """``vocab.json`` and what a processor needs to make inputs of samples and text of answers."""
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

    words = {SPACE if character == " " else character: place for place, character in enumerate(rebuilt.classes)}
    file = folder / "vocab.json"
    file.write_text(json.dumps({**words, BLANK: len(words)}, ensure_ascii=False), encoding="utf-8")
    Wav2Vec2CTCTokenizer(str(file), pad_token=BLANK, word_delimiter_token=SPACE, bos_token=None, eos_token=None).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(
        sampling_rate=rebuilt.spec.sample_rate, do_normalize=rebuilt.spec.unit_variance, return_attention_mask=True
    ).save_pretrained(folder)
