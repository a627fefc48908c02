"""Tiny hosts of every family, viewed with explicit stages so that these tests depend on no family file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regraft.spec import InputSpec
from regraft.trunk.network import Network
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk

WIDTH, LAYERS, CLASSES = 16, 3, 5


class PoolingHead(nn.Module):
    """The shape of a real head: pool, drop out, project."""

    def __init__(self, width: int, pooling: str) -> None:
        super().__init__()
        self.pooling, self.dropout, self.linear = pooling, nn.Dropout(0.1), nn.Linear(width, CLASSES)

    def pool(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.pooling == "none":
            return features
        if self.pooling == "first":
            return features[:, 0]
        if mask is None or mask.shape[1] != features.shape[1]:
            return features.mean(1)
        weights = mask.unsqueeze(-1).to(features.dtype)
        return (features * weights).sum(1) / weights.sum(1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.linear(self.dropout(self.pool(features, mask)))


@dataclass
class Host:
    network: Network
    inputs: Callable[[int, int], dict[str, Tensor]]
    text: bool = False

    @property
    def boundaries(self) -> range:
        return range(1, len(self.network.trunk.stages) + 1)


def network_of(
    host: nn.Module, stages: list[Stage], run: Callable, width: int, pooling: str = "none", head_paths: tuple[str, ...] = ()
) -> Network:
    trunk = Trunk(
        host=host, stages=tuple(stages), input=InputSpec(kind="tensor"), width=width, pooling="none", run=run, head_paths=head_paths
    )
    return Network(trunk, PoolingHead(width, pooling))


def tokens(batch: int, length: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(batch * 100 + length)
    ids = torch.randint(5, 90, (batch, length), generator=generator)
    mask = torch.ones(batch, length, dtype=torch.int64)
    for row in range(1, batch):
        mask[row, max(1, length - 2 * row) :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def pixels(size: int) -> Callable[[int, int], dict[str, Tensor]]:
    def make(batch: int, length: int = 0) -> dict[str, Tensor]:
        image = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(batch))
        return {"image": image.contiguous(memory_format=torch.channels_last)}

    return make


def wave(batch: int, length: int) -> dict[str, Tensor]:
    values = torch.randn(batch, 40 * length, generator=torch.Generator().manual_seed(length))
    mask = torch.ones(batch, 40 * length, dtype=torch.int64)
    for row in range(1, batch):
        mask[row, 40 * max(4, length - 2 * row) :] = 0
    return {"input_values": values * mask, "attention_mask": mask}


def mel(batch: int, length: int = 0) -> dict[str, Tensor]:
    return {"input_features": torch.randn(batch, 8, 24, generator=torch.Generator().manual_seed(batch))}


def _hidden(host: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    return host(**inputs).last_hidden_state


def _text(host: nn.Module, embeddings: tuple[str, ...], layers: str, neck: tuple[str, ...] = ()) -> Host:
    stages = [Stage("stem", embeddings), *(Stage(f"blocks.{i}", (f"{layers}.{i}",)) for i in range(LAYERS))]
    stages += [Stage("neck", neck)] if neck else []
    return Host(network_of(host, stages, _hidden, WIDTH, "mean"), tokens, text=True)


def bert() -> Host:
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=99, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32)
    return _text(BertModel(config, add_pooling_layer=False), ("embeddings",), "encoder.layer")


def roberta() -> Host:
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=99, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32, pad_token_id=0
    )
    return _text(RobertaModel(config, add_pooling_layer=False), ("embeddings",), "encoder.layer")


def distilbert() -> Host:
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=99, dim=WIDTH, n_layers=LAYERS, n_heads=2, hidden_dim=32)
    return _text(DistilBertModel(config), ("embeddings",), "transformer.layer")


def deberta_v2() -> Host:
    from transformers import DebertaV2Config, DebertaV2Model

    config = DebertaV2Config(vocab_size=99, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32,
                             relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"], share_att_key=True,
                             norm_rel_ebd="layer_norm", conv_kernel_size=3, position_biased_input=False, type_vocab_size=0)  # fmt: skip
    return _text(DebertaV2Model(config), ("embeddings", "encoder.rel_embeddings", "encoder.LayerNorm", "encoder.conv"), "encoder.layer")


def gpt2() -> Host:
    from transformers import GPT2Config, GPT2Model

    host = GPT2Model(GPT2Config(vocab_size=99, n_embd=WIDTH, n_layer=LAYERS, n_head=2, n_positions=64))
    return _text(host, ("wte", "wpe"), "h", ("ln_f",))


def llama() -> Host:
    from transformers import LlamaConfig, LlamaModel

    host = LlamaModel(LlamaConfig(vocab_size=99, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32))
    return _text(host, ("embed_tokens",), "layers", ("norm",))


def qwen2() -> Host:
    from transformers import Qwen2Config, Qwen2Model

    host = Qwen2Model(Qwen2Config(vocab_size=99, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2, num_key_value_heads=1,
                                  intermediate_size=32))  # fmt: skip
    return _text(host, ("embed_tokens",), "layers", ("norm",))


def wav2vec2() -> Host:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32, conv_dim=(8, 8), feat_extract_norm="layer",
                            conv_stride=(5, 2), conv_kernel=(10, 3), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)  # fmt: skip
    stages = [Stage("stem", ("feature_extractor", "feature_projection", "encoder.pos_conv_embed", "encoder.layer_norm"), ("masked_spec_embed",)),
              *(Stage(f"blocks.{i}", (f"encoder.layers.{i}",)) for i in range(LAYERS))]  # fmt: skip
    return Host(network_of(Wav2Vec2Model(config), stages, _hidden, WIDTH, "first"), wave)


def whisper() -> Host:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    host = WhisperEncoder(WhisperConfig(d_model=WIDTH, encoder_layers=LAYERS, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=8,
                                        max_source_positions=12))  # fmt: skip
    stages = [Stage("stem", ("conv1", "conv2", "embed_positions")), *(Stage(f"blocks.{i}", (f"layers.{i}",)) for i in range(LAYERS)),
              Stage("neck", ("layer_norm",))]  # fmt: skip
    return Host(network_of(host, stages, _hidden, WIDTH, "mean"), mel)


def timm_resnet() -> Host:
    from timm.models.resnet import BasicBlock, ResNet

    host = ResNet(BasicBlock, (1, 1, 1, 1), channels=(8, 8, 16, 16), num_classes=0, stem_width=8)
    stages = [Stage("stem", ("conv1", "bn1")), *(Stage(f"blocks.{i}", (f"layer{i + 1}.0",)) for i in range(4))]
    return Host(network_of(host, stages, lambda host, inputs: host(inputs["image"]), 16), pixels(32))


def timm_vit() -> Host:
    from timm.models.vision_transformer import VisionTransformer

    host = VisionTransformer(img_size=16, patch_size=8, embed_dim=WIDTH, depth=LAYERS, num_heads=2, num_classes=0)
    stages = [Stage("stem", ("patch_embed",), ("cls_token", "pos_embed")), *(Stage(f"blocks.{i}", (f"blocks.{i}",)) for i in range(LAYERS)),
              Stage("neck", ("norm",))]  # fmt: skip
    return Host(network_of(host, stages, lambda host, inputs: host(inputs["image"]), WIDTH), pixels(16))


def timm_mobilenet() -> Host:
    from timm import create_model

    host = create_model("mobilenetv2_035", num_classes=0)
    host.blocks = host.blocks[:3]
    host.conv_head = nn.Conv2d(16, 1280, 1, bias=False)
    stages = [Stage("stem", ("conv_stem", "bn1")), *(Stage(f"blocks.{i}", (f"blocks.{i}",)) for i in range(len(host.blocks))),
              Stage("neck", ("conv_head", "bn2"))]  # fmt: skip
    return Host(network_of(host, stages, lambda host, inputs: host(inputs["image"]), 1280), pixels(32))


def torchvision_resnet() -> Host:
    from torchvision.models.resnet import BasicBlock, ResNet

    host = ResNet(BasicBlock, [1, 1, 1, 1])
    host.fc = nn.Identity()
    stages = [Stage("stem", ("conv1", "bn1")), *(Stage(f"blocks.{i}", (f"layer{i + 1}",)) for i in range(4))]
    return Host(network_of(host, stages, lambda host, inputs: host(inputs["image"]), 512), pixels(32))


def torchvision_vit() -> Host:
    from torchvision.models import VisionTransformer

    host = VisionTransformer(image_size=16, patch_size=8, num_layers=LAYERS, num_heads=2, hidden_dim=WIDTH, mlp_dim=32)
    host.heads = nn.Identity()
    stages = [Stage("stem", ("conv_proj",), ("class_token", "encoder.pos_embedding")),
              *(Stage(f"blocks.{i}", (f"encoder.layers.encoder_layer_{i}",)) for i in range(LAYERS)), Stage("neck", ("encoder.ln",))]  # fmt: skip
    return Host(network_of(host, stages, lambda host, inputs: host(inputs["image"]), WIDTH), pixels(16))


class Skips(nn.Module):
    """Several tensors pass from stage to stage, in a tuple, a list and a dictionary; the last stage begins with a ReLU in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.fourth = (
            nn.Linear(6, WIDTH),
            _Pair(),
            _Join(),
            nn.Sequential(nn.ReLU(inplace=True), nn.Linear(WIDTH, WIDTH)),
        )

    def forward(self, x: Tensor) -> Tensor:
        pair = self.second(self.first(x) * 2)
        return self.fourth(self.third(pair, scale={"by": pair[0].abs()})) + 1


class LateSkip(Skips):
    """What the first stage made is used again above the second: it does not enter by the boundary below the second."""

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        return self.fourth(self.third(self.second(a), scale={"by": a.abs()}))


class _Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, a: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.left(a), [self.right(a)]


class _Join(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, pair: tuple[Tensor, list[Tensor]], scale: dict[str, Tensor]) -> Tensor:
        return self.linear(pair[0] * pair[1][0] * scale["by"])


def _rows(batch: int, length: int = 0) -> dict[str, Tensor]:
    return {"input": torch.randn(batch, 6, generator=torch.Generator().manual_seed(batch))}


def explicit(host: nn.Module | None = None) -> Host:
    stages = [Stage(name, (name,)) for name in ("first", "second", "third", "fourth")]
    return Host(network_of(host or Skips(), stages, lambda host, inputs: host(inputs["input"]), WIDTH), _rows)


FAMILIES: dict[str, Callable[[], Host]] = {
    make.__name__: make
    for make in (bert, roberta, distilbert, deberta_v2, gpt2, llama, qwen2, wav2vec2, whisper, timm_resnet, timm_vit, timm_mobilenet,
                 torchvision_resnet, torchvision_vit, explicit)
}  # fmt: skip


def build(name: str) -> Host:
    torch.manual_seed(0)
    host = FAMILIES[name]()
    return host
