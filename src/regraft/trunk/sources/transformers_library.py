"""``hf:NAME``, and folders that ``save_pretrained`` wrote: models of transformers with their tokenizer and their own description.

The base model is loaded, without language head and without pooler. Pooling and length come from the files that sentence encoders
bring (``1_Pooling/config.json``, ``sentence_bert_config.json``), pixels and samples from ``preprocessor_config.json``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from regraft.errors import TrunkError
from regraft.spec import InputSpec, Pooling
from regraft.trunk.families import view
from regraft.trunk.families.transformers_layout import takes_pooler
from regraft.trunk.reference import Reference
from regraft.trunk.sources import hub
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.trunk import Trunk
from regraft.trunk.unfilled import Unfilled

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json",
    "merges.txt", "chat_template.jinja", "spiece.model", "spm.model", "tokenizer.model", "sentencepiece.bpe.model",
)  # fmt: skip
WEIGHTS = "model.safetensors"
NO_HIDDEN_RANDOMNESS = {"layerdrop": 0.0, "encoder_layerdrop": 0.0, "apply_spec_augment": False}
RESAMPLINGS = {0: "nearest", 2: "bilinear", 3: "bicubic"}
POOLINGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "first", "pooling_mode_lasttoken": "last", "pooling_mode_mean_tokens": "mean",
    "cls": "first", "lasttoken": "last", "mean": "mean",
}  # fmt: skip


def load(reference: Reference, wanted: Wanted) -> Trunk:
    return from_folder(hub.fetch_model(reference.name, weights=wanted.pretrained, online=wanted.online), wanted)


def from_folder(folder: Path, wanted: Wanted) -> Trunk:
    """The model saved in ``folder``; nothing outside it is read."""
    config = _config(folder)
    cls = _class(config, language=wanted.language)
    host = _weighted(folder, config, cls) if wanted.pretrained else _empty(cls, config)
    host = host.get_encoder() if config.model_type == "whisper" else host
    trunk = view(host)
    trunk.own_head = _output_layer(host)
    if trunk.input.kind == "text":
        _describe_text(trunk, folder)
    if trunk.input.kind == "image":
        trunk.input = _pixels(trunk.input, folder, wanted.input_size)
    if trunk.input.kind == "audio":
        trunk.input = _samples(trunk.input, folder)
    return trunk


def rebuild(source: dict[str, Any], assets: dict[str, bytes], facts: dict[str, Any]) -> Trunk:
    with tempfile.TemporaryDirectory() as place:
        for name, content in assets.items():
            Path(place, name).write_bytes(content)
        config = _config(Path(place))
        has_tokenizer = any(name in assets for name in TOKENIZER_FILES)
        tokenizer = _tokenizer(Path(place)) if has_tokenizer else None
    host = _empty(_class(config, source["class"]), config, source["arguments"])
    return view(host, **facts, tokenizer=tokenizer, own_head=_output_layer(host))


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TrunkError(f"read the configuration in {folder.name}", str(error).splitlines()[0],
                         "a model whose class is part of transformers; remote code never runs") from error  # fmt: skip
    for name, value in NO_HIDDEN_RANDOMNESS.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return config


def _output_layer(host: Any) -> Any:
    """Of a language model, whole; ``None`` for a base model."""
    return host.get_output_embeddings() if host.base_model is not host and hasattr(host, "generate") else None


def _class(config: Any, name: str = "", *, language: bool = False) -> Any:
    import transformers

    if name == "WhisperEncoder":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder
    if name:
        return getattr(transformers, name)
    speaks = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None) if language else None
    found = speaks or transformers.MODEL_MAPPING.get(type(config), None)
    if found is None:
        raise TrunkError(f"a model of type {config.model_type!r}", "transformers has no base model for it", "another model")
    return found[0] if isinstance(found, (tuple, list)) else found


def _empty(cls: Any, config: Any, arguments: dict[str, Any] | None = None) -> Any:
    given = _arguments(cls) if arguments is None else arguments
    return cls(config, **given).eval()


def _weighted(folder: Path, config: Any, cls: Any) -> Any:
    return _as_named(folder, config, cls) or _converted(folder, config, cls)


def _as_named(folder: Path, config: Any, cls: Any) -> Any:
    """Where one file holds every weight in fp32 under the model's own name, transformers' table of a thousand old names is not needed: the host with these;
    ``None`` elsewhere."""
    file = folder / WEIGHTS
    if not file.is_file() or config.sub_configs or hasattr(config, "quantization_config"):
        return None
    with Unfilled(zeros=False), _quiet():
        host = _empty(cls, config)
    wanted = host.state_dict()
    with safe_open(file, framework="pt") as saved:
        if not wanted.keys() <= set(saved.keys()) or len({tensor.data_ptr() for tensor in wanted.values()}) < len(
            wanted
        ):  # none missing, none tied
            return None
        found = {name: saved.get_tensor(name) for name in wanted}
    if any(found[name].shape != tensor.shape or found[name].dtype != torch.float32 for name, tensor in wanted.items()):
        return None
    host.load_state_dict(found, assign=True)
    config.dtype = torch.float32
    return host


def _converted(folder: Path, config: Any, cls: Any) -> Any:
    with _quiet():
        host, report = cls.from_pretrained(
            folder, config=config, local_files_only=True, dtype=torch.float32, output_loading_info=True, **_arguments(cls)
        )
    missing = sorted(report["missing_keys"]) + [str(entry) for entry in report["mismatched_keys"]]
    if missing:
        raise TrunkError(f"load the weights in {folder.name} into {cls.__name__}",
                         f"{len(missing)} missing or of another shape: {', '.join(missing[:4])}", "a folder whose weights belong to its config.json")  # fmt: skip
    return host.eval()


def _arguments(cls: Any) -> dict[str, Any]:
    return {"add_pooling_layer": False} if takes_pooler(cls) else {}


def _describe_text(trunk: Trunk, folder: Path) -> None:
    """Tokenizer, pooling and length as the folder describes them."""
    trunk.tokenizer = _tokenizer(folder)
    trunk.pooling = _pooling(_json(folder / "1_Pooling" / "config.json")) or trunk.pooling
    told = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    limits = [limit for limit in (trunk.input.max_length, told, trunk.tokenizer.model_max_length) if limit]
    trunk.input = replace(trunk.input, max_length=int(min(limits)))
    trunk.assets |= {name: (folder / name).read_bytes() for name in TOKENIZER_FILES if (folder / name).is_file()}


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TrunkError(
            f"the tokenizer in {folder.name}", str(error).splitlines()[0], "a folder that holds tokenizer.json or vocab.txt"
        ) from error
    if tokenizer.pad_token is None:  # decoders come without one; the mask keeps it out of sight
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def _pooling(told: dict[str, Any]) -> Pooling | None:
    named = POOLINGS.get(str(told.get("pooling_mode", "")))
    return named or next((pooling for key, pooling in POOLINGS.items() if told.get(key) is True), None)


def _pixels(spec: InputSpec, folder: Path, input_size: int) -> InputSpec:
    told = _json(folder / "preprocessor_config.json")
    return replace(
        spec,
        size=(input_size, input_size) if input_size else spec.size,
        mean=tuple(told.get("image_mean", spec.mean)),
        std=tuple(told.get("image_std", spec.std)),
        interpolation=RESAMPLINGS.get(told.get("resample", -1), spec.interpolation),
    )


def _samples(spec: InputSpec, folder: Path) -> InputSpec:
    told = _json(folder / "preprocessor_config.json")
    scaled = bool(told.get("do_normalize", False)) and told.get("feature_size", 1) == 1  # a spectrogram has more
    return replace(spec, sample_rate=int(told.get("sampling_rate", spec.sample_rate or 0)) or None, unit_variance=scaled)


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars and load reports of transformers; what matters in them is checked and raised here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
