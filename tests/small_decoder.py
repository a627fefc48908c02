"""A small decoder and small conversations on disk, for tests of language models."""

from __future__ import annotations

import json
import random
from pathlib import Path

LENGTH = 160
FORGETFUL = "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% endif %}{% endfor %}"
"""A chat template that leaves the answers out."""


def decoder_folder(folder: Path, *, tied: bool = True, template: str | None = None) -> Path:
    """A Llama of two tiny layers with random weights and a tokenizer of single bytes, as ``save_pretrained`` leaves it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer(template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=LENGTH, tie_word_embeddings=tied, bos_token_id=None, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer(template: str | None = None):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    signs = ["<eos>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE({sign: place for place, sign in enumerate(signs)}, []))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", pad_token="<pad>", model_max_length=LENGTH)
    made.chat_template = template
    return made


def word(number: int, length: int = 14) -> str:
    """A word of its own for each number, so that no two examples are near duplicates."""
    chance = random.Random(number)
    return "".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(length // 2))


def echoes(count: int = 40) -> list[dict[str, str]]:
    """Instructions in Alpaca's form: say it again."""
    return [{"instruction": f"Say {word(i)}.", "input": word(i + 1_000), "output": f"{word(i)}!"} for i in range(count)]


def wishes(count: int = 40) -> list[dict[str, object]]:
    """Preference pairs: the polite answer is the better one."""
    return [{"prompt": f"May I have {word(i)}?", "chosen": f"Yes, {word(i)}.", "rejected": f"No, {word(i)} is mine!"} for i in range(count)]


def write(path: Path, records: list) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path
