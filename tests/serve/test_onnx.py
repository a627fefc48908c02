"""Export to ONNX: what onnxruntime makes of the file alone, at any number of examples and tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import regraft as rg
from regraft.errors import RequestError
from regraft.serve import to_onnx
from regraft.serve.export import export
from serve.test_export import QUICK, TEXTS, made, pictures
from small import data, model  # noqa: F401

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def session(folder):
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])


def test_texts_of_any_length_and_number_with_an_edit_inside(data, model, tmp_path):  # noqa: F811
    from transformers import AutoTokenizer

    generation = made(data, model, tmp_path, strategy="adapter(width=4)")
    document = export(generation.store, "mine", "onnx", tmp_path / "out")
    assert document["verified"]["num_inputs"] == 3 and document["verified"]["largest_difference"] < 1e-4
    graph, tokenizer = session(tmp_path / "out"), AutoTokenizer.from_pretrained(tmp_path / "out")
    assert {row.name: row.shape for row in graph.get_inputs()} == {name: ["batch", "length"] for name in ("input_ids", "attention_mask")}
    for texts in (TEXTS, ["refund"], [" ".join(TEXTS * 3)] * 5):
        encoded = tokenizer(texts, padding=True, return_tensors="np", return_token_type_ids=False)
        (logits,) = graph.run(None, {name: encoded[name].astype(np.int64) for name in ("input_ids", "attention_mask")})
        called = [generation.classes[best] for best in logits.argmax(1)]
        assert called == [row["label"] for row in generation.predict(texts)]


def test_pairs_with_several_heads_in_one_file(model, tmp_path):  # noqa: F811
    rows = "\n".join(
        f"the {word} runs,a {word} sleeps,{label},{place}.5" for place, (word, label) in enumerate([("dog", "no"), ("cat", "yes")] * 20)
    )
    (tmp_path / "pairs.csv").write_text(f"sentence1,sentence2,label,score\n{rows}\n", encoding="utf-8")
    rg.tune(tmp_path / "pairs.csv", model=model, target="label,score", store=tmp_path / "store", name="mine", controls=False, **QUICK)
    document = export(rg.open("mine", store=tmp_path / "store").store, "mine", "onnx", tmp_path / "out")
    assert document["verified"]["num_inputs"] == 3 and document["verified"]["largest_difference"] < 1e-4
    assert session(tmp_path / "out").get_outputs()[0].shape[1] == 3


def test_pictures_and_what_they_go_through(tmp_path):
    import timm

    torch.manual_seed(0)
    timm.create_model("resnet10t", num_classes=0)
    generation = rg.tune(pictures(tmp_path / "pictures"), model="timm:resnet10t", strategy="scratch", store=tmp_path / "store", name="mine",
                         input_size=32, **QUICK)  # fmt: skip
    export(generation.store, "mine", "onnx", tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "regraft.json").read_text())
    assert facts["classes"] == ["dark", "light"] and facts["image"]["size"] == [32, 32] and len(facts["image"]["mean"]) == 3
    pixels = torch.rand(7, 3, 32, 32)
    (logits,) = session(tmp_path / "out").run(None, {"image": pixels.numpy()})
    with torch.inference_mode():
        assert np.allclose(logits, generation.predictor.network({"image": pixels}).numpy(), atol=1e-4)


def test_what_has_no_form_there_is_said_and_nothing_is_left(data, model, tmp_path, monkeypatch):  # noqa: F811
    generation = made(data, model, tmp_path, strategy="linear_probe")

    def refuses(network, *args, **kwargs):
        raise torch.onnx.OnnxExporterError("no function for aten::odd")

    with monkeypatch.context() as patched:
        patched.setattr(torch.onnx, "export", refuses)
        with pytest.raises(RequestError, match=r"PyTorch's exporter cannot write it .*no function for aten::odd"):
            export(generation.store, "mine", "onnx", tmp_path / "out")
    monkeypatch.setattr(to_onnx, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"onnx, onnxruntime, onnxscript are not installed\n.*pip install 'regraft\[onnx\]'"):
        export(generation.store, "mine", "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.part").exists()
