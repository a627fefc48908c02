"""Small hosts of several families, each viewed as a trunk by explicit stages, with the inputs that they take."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from regraft.spec import InputSpec
from regraft.surgery.heads import LinearHead, strip
from regraft.trunk.network import Network
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk

TEXT = InputSpec(kind="text", max_length=16)
IDS = {"input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])}
PIXELS = {"image": torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)}


def tokens(host: nn.Module, inputs: Inputs) -> torch.Tensor:
    return host(**inputs).last_hidden_state


def mlp() -> Trunk:
    host = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    stages = (Stage("stem", ("0", "1")), Stage("blocks.0", ("2", "3")), Stage("blocks.1", ("4",)))
    return Trunk(host=host, stages=stages, input=InputSpec(kind="tensor"), width=8)


def bert() -> Trunk:
    from transformers import BertConfig, BertModel

    host = BertModel(
        BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32), add_pooling_layer=False
    )
    stages = (Stage("stem", ("embeddings",)), *(Stage(f"blocks.{i}", (f"encoder.layer.{i}",)) for i in range(2)))
    return Trunk(host=host, stages=stages, input=TEXT, width=16, pooling="mean", run=tokens)


def gpt2() -> Trunk:
    from transformers import GPT2Config, GPT2Model

    host = GPT2Model(GPT2Config(vocab_size=20, n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0))
    blocks = (Stage("blocks.0", ("h.0",)), Stage("blocks.1", ("h.1",)), Stage("neck", ("ln_f",)))
    return Trunk(host=host, stages=(Stage("stem", ("wte", "wpe", "drop")), *blocks), input=TEXT, width=16, pooling="last", run=tokens)


def llama() -> Trunk:
    from transformers import LlamaConfig, LlamaModel

    host = LlamaModel(LlamaConfig(vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32))
    blocks = (Stage("blocks.0", ("layers.0",)), Stage("blocks.1", ("layers.1",)), Stage("neck", ("norm",)))
    return Trunk(host=host, stages=(Stage("stem", ("embed_tokens",)), *blocks), input=TEXT, width=16, pooling="last", run=tokens)


def resnet() -> Trunk:
    import timm

    host = timm.create_model("resnet10t", num_classes=0, zero_init_last=False)
    stages = (Stage("stem", ("conv1", "bn1", "act1", "maxpool")), *(Stage(f"blocks.{i}", (f"layer{i + 1}",)) for i in range(4)))
    return Trunk(host=host, stages=stages, input=InputSpec(kind="image", size=(32, 32)), width=512)


def vit() -> Trunk:
    import timm

    host = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=2, num_classes=0)
    stem = Stage("stem", ("patch_embed",), ("cls_token", "pos_embed"))
    stages = (stem, Stage("blocks.0", ("blocks.0",)), Stage("blocks.1", ("blocks.1",)), Stage("neck", ("norm",)))
    return Trunk(host=host, stages=stages, input=InputSpec(kind="image", size=(32, 32)), width=32)


def fused_vit() -> Trunk:
    from torchvision.models import VisionTransformer

    host = VisionTransformer(32, 16, 2, 2, 16, 32, num_classes=3)
    stem = Stage("stem", ("conv_proj",), ("class_token", "encoder.pos_embedding"))
    blocks = tuple(Stage(f"blocks.{i}", (f"encoder.layers.encoder_layer_{i}",)) for i in range(2))
    return Trunk(host=host, stages=(stem, *blocks, Stage("neck", ("encoder.ln",))), head_paths=("heads",),
                 input=InputSpec(kind="image", size=(32, 32)), width=16)  # fmt: skip


HOSTS: dict[str, tuple[Callable[[], Trunk], Inputs]] = {
    "mlp": (mlp, {"input": torch.linspace(-1, 1, 12).reshape(2, 6)}),
    "bert": (bert, IDS),
    "gpt2": (gpt2, IDS),
    "llama": (llama, IDS),
    "resnet": (resnet, PIXELS),
    "vit": (vit, PIXELS),
    "fused_vit": (fused_vit, PIXELS),
}


def network(name: str) -> tuple[Network, Inputs]:
    """A fresh network in eval mode over the host of that name, and inputs for it."""
    torch.manual_seed(0)
    make, inputs = HOSTS[name]
    trunk = make()
    strip(trunk)
    return Network(trunk, LinearHead(trunk.width, 3, trunk.pooling)).eval(), inputs
