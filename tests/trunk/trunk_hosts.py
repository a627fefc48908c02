"""One small model with random weights for every family: name -> (build, a batch for it)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
TEXT = {**SMALL, "vocab_size": 120}
SPEECH = {
    **SMALL,
    "conv_dim": (16, 16),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
    "vocab_size": 32,
}


def images(size: int) -> dict[str, Tensor]:
    return {"image": torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))}


def tokens() -> dict[str, Tensor]:
    ids = torch.randint(5, 110, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def sound() -> dict[str, Tensor]:
    mask = torch.ones(2, 800, dtype=torch.long)
    mask[1, 500:] = 0
    return {"input_values": torch.randn(2, 800, generator=torch.Generator().manual_seed(1)), "attention_mask": mask}


def _timm(name: str, **arguments: object) -> nn.Module:
    import timm

    return timm.create_model(name, **arguments)


def _torchvision(name: str, **arguments: object) -> nn.Module:
    import torchvision

    return torchvision.models.get_model(name, **arguments)


def _transformers(model: str, config: str, *, arguments: dict | None = None, **settings: object) -> nn.Module:
    import transformers

    return getattr(transformers, model)(getattr(transformers, config)(**settings), **(arguments or {}))


def _torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=7)


def _whisper() -> nn.Module:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return WhisperEncoder(
        WhisperConfig(d_model=32, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=64, max_source_positions=50, num_mel_bins=8)
    )


BARE = {"add_pooling_layer": False}
TIMM = ("resnet10t", "mobilenetv2_035", "mobilenetv3_small_050", "efficientnet_lite0", "convnext_atto", "regnety_002", "vgg11", "repvgg_a0")
HOSTS: dict[str, tuple[Callable[[], nn.Module], Callable[[], dict[str, Tensor]]]] = {
    **{f"timm {name}": (partial(_timm, name, num_classes=7), partial(images, 64)) for name in TIMM},
    "timm vit": (partial(_timm, "vit_tiny_patch16_224", img_size=32, depth=3, num_classes=7), partial(images, 32)),
    "timm deit": (partial(_timm, "deit_tiny_distilled_patch16_224", img_size=32, depth=3, num_classes=7), partial(images, 32)),
    "timm swin": (partial(_timm, "swin_tiny_patch4_window7_224", img_size=56, depths=(1, 1, 2, 1), num_classes=7), partial(images, 56)),
    "timm beit": (
        partial(_timm, "beit_base_patch16_224", img_size=32, depth=2, embed_dim=48, num_heads=4, num_classes=7),
        partial(images, 32),
    ),
    "torchvision alexnet": (partial(_torchvision, "alexnet", num_classes=7), partial(images, 64)),
    "torchvision vgg11_bn": (partial(_torchvision, "vgg11_bn", num_classes=7), partial(images, 32)),
    "torchvision resnet18": (partial(_torchvision, "resnet18", num_classes=7), partial(images, 32)),
    "torchvision mobilenet_v2": (partial(_torchvision, "mobilenet_v2", num_classes=7, width_mult=0.25), partial(images, 32)),
    "torchvision vit": (_torchvision_vit, partial(images, 32)),
    "bert": (partial(_transformers, "BertModel", "BertConfig", arguments=BARE, **TEXT), tokens),
    "bert with pooler": (partial(_transformers, "BertModel", "BertConfig", **TEXT), tokens),
    "bert with classifier": (partial(_transformers, "BertForSequenceClassification", "BertConfig", **TEXT), tokens),
    "roberta": (partial(_transformers, "RobertaModel", "RobertaConfig", arguments=BARE, **TEXT), tokens),
    "electra": (partial(_transformers, "ElectraModel", "ElectraConfig", embedding_size=16, **TEXT), tokens),
    "distilbert": (
        partial(_transformers, "DistilBertModel", "DistilBertConfig", dim=32, n_layers=3, n_heads=4, hidden_dim=64, vocab_size=120),
        tokens,
    ),
    "deberta": (
        partial(_transformers, "DebertaModel", "DebertaConfig", relative_attention=True, pos_att_type=["p2c", "c2p"], **TEXT),
        tokens,
    ),
    "deberta-v2": (
        partial(
            _transformers,
            "DebertaV2Model",
            "DebertaV2Config",
            relative_attention=True,
            position_buckets=8,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            conv_kernel_size=3,
            conv_act="gelu",
            **TEXT,
        ),
        tokens,
    ),
    "gpt2": (
        partial(_transformers, "GPT2Model", "GPT2Config", n_embd=32, n_layer=3, n_head=4, vocab_size=120, bos_token_id=1, eos_token_id=1),
        tokens,
    ),
    "llama": (partial(_transformers, "LlamaModel", "LlamaConfig", num_key_value_heads=2, **TEXT), tokens),
    "llama tied, with language head": (
        partial(_transformers, "LlamaForCausalLM", "LlamaConfig", num_key_value_heads=2, tie_word_embeddings=True, **TEXT),
        tokens,
    ),
    "qwen2": (partial(_transformers, "Qwen2Model", "Qwen2Config", num_key_value_heads=2, **TEXT), tokens),
    "vit": (partial(_transformers, "ViTModel", "ViTConfig", arguments=BARE, image_size=32, patch_size=8, **SMALL), partial(images, 32)),
    "wav2vec2": (partial(_transformers, "Wav2Vec2Model", "Wav2Vec2Config", **SPEECH), sound),
    "wav2vec2 stable": (
        partial(
            _transformers,
            "Wav2Vec2Model",
            "Wav2Vec2Config",
            do_stable_layer_norm=True,
            feat_extract_norm="layer",
            add_adapter=True,
            **SPEECH,
        ),
        sound,
    ),
    "hubert": (partial(_transformers, "HubertModel", "HubertConfig", **SPEECH), sound),
    "whisper": (_whisper, lambda: {"input_features": torch.randn(2, 8, 100, generator=torch.Generator().manual_seed(1))}),
}
