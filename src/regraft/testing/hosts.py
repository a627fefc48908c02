"""One small model with random weights for every family of the package, and variants: name -> ``Host``.

The first host of each family is the smallest (``representatives``); laws that cost something run over these alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regraft.data.encode import prepare
from regraft.spec import InputSpec
from regraft.surgery.heads import strip
from regraft.testing.examples import Examples, frames, images, sentences, waves
from regraft.trunk.trunk import Trunk

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
TEXT: dict[str, Any] = {**SMALL, "vocab_size": 120}
SPEECH: dict[str, Any] = {
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


@dataclass(frozen=True, kw_only=True)
class Host:
    """``family``: name of its file in ``trunk/families``. ``build``: the model, random weights. ``examples(n, seed=...)``: a learnable split."""

    family: str
    build: Callable[[], nn.Module]
    examples: Callable[..., Examples]

    def batch(self, rows: int = 2) -> dict[str, Tensor]:
        """Inputs as the model takes them, of ``rows`` examples."""
        return prepare(self.examples(rows).batch(np.arange(rows)), InputSpec(kind="image"))


def trunk_of(name: str) -> Trunk:
    """The host called ``name``, viewed by its family, its classifier off; ``module:regraft.testing.hosts.trunk_of?name=gpt2`` names it."""
    trunk = Trunk.of(HOSTS[name].build().eval())
    strip(trunk)
    trunk.source = {"library": "module", "function": "regraft.testing.hosts.trunk_of", "arguments": {"name": name}}
    return trunk


def representatives() -> dict[str, str]:
    """Family -> name of its first host."""
    return {host.family: name for name, host in reversed(HOSTS.items())}


def _timm(name: str, **arguments: Any) -> nn.Module:
    import timm

    return timm.create_model(name, **arguments)


def _torchvision(name: str, **arguments: Any) -> nn.Module:
    import torchvision

    return torchvision.models.get_model(name, **arguments)


def _transformers(model: str, config: str, *, arguments: dict[str, Any] | None = None, **settings: Any) -> nn.Module:
    import transformers

    return getattr(transformers, model)(getattr(transformers, config)(**settings), **(arguments or {}))


def _torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=7)


def _resnet() -> nn.Module:
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 2, 1, 1], num_classes=7)


def _fcn() -> nn.Module:
    from torchvision.models._utils import IntermediateLayerGetter
    from torchvision.models.resnet import BasicBlock, ResNet
    from torchvision.models.segmentation import FCN
    from torchvision.models.segmentation.fcn import FCNHead

    return FCN(IntermediateLayerGetter(ResNet(BasicBlock, [1, 1, 1, 1]), {"layer4": "out"}), FCNHead(512, 5))


def _whisper() -> nn.Module:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return WhisperEncoder(
        WhisperConfig(d_model=32, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=64, max_source_positions=50, num_mel_bins=8)
    )


def _mel_resnet() -> nn.Module:
    from regraft.trunk.mel_resnet import mel_resnet

    return mel_resnet(stem=8, widths=(8, 8, 12, 16))


def _small_classifier(width: int, *, dropout_first: bool) -> nn.Sequential:
    """The shape of AlexNet's and VGG's classifiers, without their hundred million numbers."""
    first, last = (nn.Linear(width, 24), nn.ReLU()), (nn.Linear(24, 20), nn.ReLU())
    if dropout_first:
        return nn.Sequential(nn.Dropout(), *first, nn.Dropout(), *last, nn.Linear(20, 7))
    return nn.Sequential(*first, nn.Dropout(), *last, nn.Dropout(), nn.Linear(20, 7))


def _alexnet() -> nn.Module:
    from torchvision.models import AlexNet

    with torch.device("meta"):
        host = AlexNet()
    host.features.to_empty(device="cpu").apply(lambda layer: layer.reset_parameters() if isinstance(layer, nn.Conv2d) else None)
    host.classifier = _small_classifier(256 * 6 * 6, dropout_first=True)
    return host


def _vgg() -> nn.Module:
    from torchvision.models.vgg import VGG, make_layers

    with torch.device("meta"):
        host = VGG(nn.Identity(), init_weights=False)
    host.features = make_layers([8, "M", 8, "M", 12, 12, "M", 12, 12, "M", 16, 16, "M"], batch_norm=True)
    host.classifier = _small_classifier(16 * 7 * 7, dropout_first=False)
    return host


def _recurrent(**shape: Any) -> nn.Module:
    from regraft.trunk.vectors.recurrent import RecurrentNetwork

    return RecurrentNetwork(rows=120, dims=16, width=12, **shape)


INVERTED = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2]]
"""MobileNetV2 cut short: expansion, channels, blocks, stride of each level."""
MIX: dict[str, Any] = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 1, 2, 2]}
BARE: dict[str, Any] = {"add_pooling_layer": False}
TIMM = ("mobilenetv2_035", "mobilenetv3_small_050", "efficientnet_lite0", "convnext_atto", "regnety_002", "repvgg_a0")


def _pixels(family: str, build: Callable[..., nn.Module], size: int, **arguments: Any) -> Host:
    return Host(family=family, build=partial(build, **arguments), examples=partial(images, size=size))


def _text(family: str, model: str, config: str, **arguments: Any) -> Host:
    return Host(family=family, build=partial(_transformers, model, config, **arguments), examples=sentences)


def _sound(model: str, config: str, **arguments: Any) -> Host:
    return Host(family="wav2vec2", build=partial(_transformers, model, config, **SPEECH | arguments), examples=waves)


def _vit_of(name: str, **arguments: Any) -> Host:
    return _pixels("timm_models", partial(_timm, name), 32, img_size=32, num_classes=7, **arguments)


_deberta_v2: dict[str, Any] = {
    "relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"], "conv_kernel_size": 3, "conv_act": "gelu", **TEXT,
}  # fmt: skip
HOSTS: dict[str, Host] = {
    "timm resnet10t": _pixels("timm_models", partial(_timm, "resnet10t"), 32, num_classes=7, channels=(8, 16, 24, 32)),
    "timm vit": _vit_of("vit_tiny_patch16_224", depth=3, embed_dim=48),
    **{f"timm {name}": _pixels("timm_models", partial(_timm, name), 64, num_classes=7) for name in TIMM},
    "timm vgg11": _pixels("timm_models", partial(_timm, "vgg11"), 32, num_classes=7, mlp_ratio=0.005),
    "timm deit": _vit_of("deit_tiny_distilled_patch16_224", depth=3),
    "timm swin": _pixels(
        "timm_models", partial(_timm, "swin_tiny_patch4_window7_224"), 56, img_size=56, depths=(1, 1, 2, 1), num_classes=7
    ),
    "timm beit": _vit_of("beit_base_patch16_224", depth=2, embed_dim=48, num_heads=4),
    "torchvision alexnet": _pixels("alexnet", _alexnet, 64),
    "torchvision vgg11_bn": _pixels("vgg", _vgg, 32),
    "torchvision resnet": _pixels("resnet", _resnet, 32),
    "torchvision mobilenet_v2": _pixels(
        "mobilenet", partial(_torchvision, "mobilenet_v2"), 32, num_classes=7, width_mult=0.25, inverted_residual_setting=INVERTED
    ),
    "torchvision vit": _pixels("torchvision_vit", _torchvision_vit, 32),
    "torchvision fcn": _pixels("torchvision_segmentation", _fcn, 32),
    "bert": _text("bert", "BertModel", "BertConfig", arguments=BARE, **TEXT),
    "bert with pooler": _text("bert", "BertModel", "BertConfig", **TEXT),
    "bert with classifier": _text("bert", "BertForSequenceClassification", "BertConfig", **TEXT),
    "roberta": _text("bert", "RobertaModel", "RobertaConfig", arguments=BARE, **TEXT),
    "electra": _text("bert", "ElectraModel", "ElectraConfig", embedding_size=16, **TEXT),
    "distilbert": _text("distilbert", "DistilBertModel", "DistilBertConfig", dim=32, n_layers=3, n_heads=4, hidden_dim=64, vocab_size=120),
    "deberta": _text("deberta", "DebertaModel", "DebertaConfig", relative_attention=True, pos_att_type=["p2c", "c2p"], **TEXT),
    "deberta-v2": _text("deberta", "DebertaV2Model", "DebertaV2Config", **_deberta_v2),
    "gpt2": _text("gpt2", "GPT2Model", "GPT2Config", n_embd=32, n_layer=3, n_head=4, vocab_size=120, bos_token_id=1, eos_token_id=1),
    "llama": _text("llama", "LlamaModel", "LlamaConfig", num_key_value_heads=2, **TEXT),
    "llama tied, with language head": _text(
        "llama", "LlamaForCausalLM", "LlamaConfig", num_key_value_heads=2, tie_word_embeddings=True, **TEXT
    ),
    "qwen2": _text("llama", "Qwen2Model", "Qwen2Config", num_key_value_heads=2, **TEXT),
    "vit": _pixels(
        "transformers_vit", partial(_transformers, "ViTModel", "ViTConfig"), 32, arguments=BARE, image_size=32, patch_size=8, **SMALL
    ),
    "segformer": _pixels("segformer", partial(_transformers, "SegformerModel", "SegformerConfig"), 32, **MIX),
    "segformer with decoder": _pixels(
        "segformer", partial(_transformers, "SegformerForSemanticSegmentation", "SegformerConfig"), 32, decoder_hidden_size=16, **MIX
    ),
    "wav2vec2": _sound("Wav2Vec2Model", "Wav2Vec2Config"),
    "wav2vec2 stable": _sound("Wav2Vec2Model", "Wav2Vec2Config", do_stable_layer_norm=True, feat_extract_norm="layer", add_adapter=True),
    "hubert": _sound("HubertModel", "HubertConfig"),
    "recurrent": Host(family="recurrent", build=partial(_recurrent, layers=2, dropout=0.1), examples=sentences),
    "recurrent lstm, a vector for each word": Host(
        family="recurrent", build=partial(_recurrent, cell="lstm", layers=2, attention=False), examples=sentences
    ),
    "whisper": Host(family="whisper", build=_whisper, examples=frames),
    "whisper, on samples": Host(family="whisper", build=_whisper, examples=waves),
    "mel_resnet": Host(family="mel_resnet", build=_mel_resnet, examples=waves),
}
