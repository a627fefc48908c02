"""The architectures that the recipes name, with random weights and a fraction of their width: ``module:small_models.resnet50``.

Stages are as many as in the real ones, so that ``freeze(below=8)`` means what it says.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from made_vectors import glove
from regraft.spec import InputSpec
from regraft.testing.hosts import HOSTS
from regraft.trunk.trunk import Trunk

WORDS = 400


def pixels(host: nn.Module, size: int) -> Trunk:
    return Trunk.of(host.eval(), input=InputSpec(kind="image", size=(size, size)))


def alexnet() -> Trunk:
    return pixels(HOSTS["torchvision alexnet"].build(), 64)


def vgg16() -> Trunk:
    from torchvision.models.vgg import VGG, make_layers

    convolutions = [8, 8, "M", 8, 8, "M", 12, 12, 12, "M", 16, 16, 16, "M", 16, 16, 16, "M"]
    host = VGG(make_layers(convolutions), init_weights=False)
    layers = (nn.Linear(16 * 49, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 7))
    host.classifier = nn.Sequential(*layers)
    return pixels(host, 32)


def resnet50() -> Trunk:
    import timm

    return pixels(timm.create_model("resnet50", channels=(8, 8, 16, 16), num_classes=7), 32)


def vit_b16() -> Trunk:
    import timm

    return pixels(timm.create_model("vit_base_patch16_224", img_size=32, embed_dim=24, num_heads=2, num_classes=7), 32)


def bert(folder: Path, texts: list[str]) -> str:
    """A BERT of twelve thin layers and its tokenizer, saved as ``save_pretrained`` does; the reference to it."""
    from collections import Counter

    from transformers import BertConfig, BertModel, BertTokenizerFast

    counted = Counter(word for text in texts for word in text.lower().split())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(word for word, _ in counted.most_common(WORDS))]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 24, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **sizes), add_pooling_layer=False).save_pretrained(folder)
    return f"file:{folder}"


def vectors(folder: Path, reference: str, texts: list[str]) -> str:
    """The reference over a file of short vectors that knows every other word of the texts (or character, where there are no spaces)."""
    words = sorted({word for text in texts for word in (text.lower().split() if " " in text else text) if not word.isspace()})
    return f"vectors:{glove(folder / 'vectors.txt', words[::2])}?{reference.partition('?')[2]}"
