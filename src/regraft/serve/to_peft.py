"""For peft: the LoRA edits of a generation as an adapter of the pretrained model, ``head.safetensors`` beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from regraft.errors import RequestError
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.serve import rebuild
from regraft.serve.rebuild import Rebuilt
from regraft.surgery.edits import EditRecord
from regraft.surgery.language_head import LanguageHead
from regraft.surgery.lora import LEARNT, exactly
from regraft.surgery.specs import Lora
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

VARIANTS = {"plain": False, "rslora": True}
"""Variant -> is it scaled by the root of its rank?"""


def write(store: Store, generation: Generation, rebuilt: Rebuilt, folder: Path) -> tuple[Callable[[Inputs], Tensor], str]:
    from peft import LoraConfig, PeftModel
    from safetensors.torch import save_file

    by_path, network = _loras(store, generation), rebuilt.network
    paths, edit = list(by_path), next(iter(by_path.values()))
    patterns: dict[str, Any] = {
        "rank_pattern": {path: one.rank for path, one in by_path.items()}, "alpha_pattern": {path: one.alpha for path, one in by_path.items()},
        "lora_alpha": edit.alpha,  # a float, though peft's hint says int
    }  # fmt: skip
    layers: dict[str, Any] = {path: network.host.get_submodule(path) for path in paths}
    config = LoraConfig(
        r=edit.rank, target_modules=exactly(paths), **patterns, use_rslora=VARIANTS[edit.variant],
        fan_in_fan_out=all(type(layer.base_layer).__name__ == "Conv1D" for layer in layers.values()), inference_mode=True,
        base_model_name_or_path=_name(generation.manifest["model"]), task_type="CAUSAL_LM" if isinstance(network.head, LanguageHead) else None,
    )  # fmt: skip
    config.save_pretrained(str(folder))
    factors = {
        f"base_model.model.{path}.lora_{side}.weight": getattr(layer, f"lora_{side}")[LEARNT].weight.detach().contiguous()
        for path, layer in layers.items()
        for side in "AB"
    }
    save_file(factors, folder / "adapter_model.safetensors")
    if not isinstance(network.head, LanguageHead):  # that is the pretrained model's own
        save_file({name: tensor.detach().contiguous() for name, tensor in network.head.state_dict().items()}, folder / "head.safetensors")
        (folder / "labels.json").write_text(json.dumps(list(rebuilt.classes)), encoding="utf-8")
    plain = _pretrained(store, generation, network)
    adapted: Any = PeftModel.from_pretrained(plain.host, str(folder)).eval()
    plain.trunk.host = adapted.base_model.model
    beside = "" if isinstance(network.head, LanguageHead) else "  # and head.safetensors on its pooled features"
    return plain, f'peft.PeftModel.from_pretrained(base_model, "{{path}}"){beside}'


def _loras(store: Store, generation: Generation) -> dict[str, Lora]:
    """Path of a layer -> the LoRA edit on it. Raises ``RequestError`` where anything else of the trunk is not the pretrained model's."""
    asked = f"export {generation.name} --to peft"
    records = [record for row in generation.manifest["edits"] if (record := EditRecord.from_json(row)).stage != "head"]
    edits = [(one.edit, one.sites) for one in records if isinstance(one.edit, Lora) and one.edit.variant in VARIANTS]
    loras = {site.path: edit for edit, sites in edits for site in sites}
    if not records or len(edits) < len(records):
        found = ", ".join(sorted({one.edit.label for one in records})) or "no LoRA"
        raise RequestError(
            asked, f"in its trunk stands {found}", "--to hf, where LoRA is folded in; plain LoRA and rslora can be an adapter"
        )
    if len({edit.variant for edit in loras.values()}) > 1:
        raise RequestError(asked, "its stages carry different variants of LoRA", "--to hf")
    held = {row["digest"] for row in store.table(store.read("bases", generation.base or "")).values()}
    moved = [
        name
        for name, row in store.table(generation).items()
        if name.startswith("host.") and ".lora_" not in name and row["digest"] not in held
    ]
    if moved:
        raise RequestError(
            asked, f"numbers of the pretrained model itself have moved: {', '.join(moved[:3])}", "--to hf, which holds all of them"
        )
    return loras


def _pretrained(store: Store, generation: Generation, network: Network) -> Network:
    """The pretrained trunk as the store holds it, under the generation's head."""
    return Network(rebuild.pretrained(store, generation), network.head).eval()


def _name(reference: str) -> str:
    """As a person would name the pretrained model to transformers; of ``bundled:`` and others, the reference itself."""
    source, _, name = reference.partition(":")
    return name if source in ("hf", "file") else reference
