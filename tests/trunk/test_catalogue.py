from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
from safetensors.numpy import save_file

from regraft.trunk.catalogue import available


def cached(root, name: str, config: dict) -> None:
    folder = root / f"models--{name.replace('/', '--')}" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float16)}, folder / "model.safetensors")


def test_listing_needs_neither_torch_nor_the_model_libraries():
    code = (
        "import sys; import regraft.trunk, regraft.trunk.outline, regraft.trunk.select; from regraft.trunk.load import available;"
        "available(); print(sorted({'torch', 'timm', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_models_in_the_hubs_cache_come_before_those_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    cached(tmp_path, "bert-base-uncased", {"model_type": "bert"})
    cached(tmp_path, "timm/resnet18.a1_in1k", {"architecture": "resnet18"})
    cached(tmp_path, "org/unknown", {"model_type": "never-seen"})
    models = available()
    found = {model.reference: model for model in models}
    assert (found["hf:bert-base-uncased"].kind, found["hf:bert-base-uncased"].parameters) == ("text", 17)
    assert found["timm:resnet18.a1_in1k"].kind == "image"
    assert not [reference for reference in found if "unknown" in reference]
    assert len(found) == len(models), "each reference is listed once"
    offline = [model.offline for model in models]
    assert offline == sorted(offline, reverse=True)


def test_a_damaged_cache_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    cached(tmp_path, "org/broken", {"model_type": "bert"})
    folder = tmp_path / "models--org--broken" / "snapshots" / "abc"
    (folder / "model.safetensors").write_bytes(b"xx")
    (tmp_path / "models--org--empty").mkdir()
    assert {model.reference: model.parameters for model in available()}["hf:org/broken"] == 0
    (folder / "config.json").write_text("{")
    assert "hf:org/broken" not in {model.reference for model in available()}
