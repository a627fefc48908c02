"""A small text model and a small data set on disk, for tests that run the whole way from a CSV to a generation."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import pytest

WORDS = 400


def model_folder(folder: Path) -> Path:
    """A BERT of two tiny layers with random weights and a word-level tokenizer over the bundled tickets, as ``save_pretrained`` leaves it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    texts = [text for text, _ in tickets()]
    words = sorted({word for text in texts for word in text.lower().split()})[:WORDS]
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                        max_position_embeddings=64)  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tickets() -> list[tuple[str, str]]:
    with (files("regraft.data") / "demo" / "tickets.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def write_tickets(path: Path, per_class: int = 20, classes: int = 3, skip: int = 0) -> Path:
    """A CSV of some of the bundled tickets."""
    labels = sorted({label for _, label in tickets()})[:classes]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for label in labels:
            writer.writerows([row for row in tickets() if row[1] == label][skip : skip + per_class])
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"file:{model_folder(tmp_path_factory.mktemp('model'))}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tickets(tmp_path / "tickets.csv")
