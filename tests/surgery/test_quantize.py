"""Weights in four bits: what is asked without bitsandbytes, and, where it runs, LoRA over them, stored, read back and exported."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

import regraft as rg
from regraft.errors import PlanError, RequestError, TrunkError
from regraft.plan.surgery import parse_surgery, split_model
from regraft.surgery import Lora, Quantize, apply, edit_from_json, edit_json, merge
from regraft.testing.hosts import trunk_of
from regraft.trunk.network import Network
from small_decoder import decoder_folder, echoes, write

OPTIONS = {"epochs": 3.0, "lr": 1e-2, "batch_size": 8, "refit": False, "packing": True}


@pytest.fixture
def library():
    return pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'regraft[quantize]'")


def llama() -> Network:
    from regraft.surgery.heads import LinearHead, strip

    torch.manual_seed(0)
    trunk = trunk_of("llama")
    strip(trunk)
    return Network(trunk, LinearHead(trunk.width, 3, trunk.pooling)).eval()


def test_it_is_typed_behind_a_model():
    assert split_model("hf:gpt2 + quantize(nf4)") == ("hf:gpt2", "quantize(nf4)")
    (step,) = parse_surgery("quantize")
    assert (step.edit, step.stages) == (Quantize(), "all")
    assert edit_from_json(edit_json(Quantize(levels="fp4"))) == Quantize(levels="fp4")
    with pytest.raises(RequestError, match="levels is one of nf4, fp4"):
        parse_surgery("quantize(int3)")
    with pytest.raises(PlanError, match="quantize has no such setting"):
        parse_surgery("quantize(bits=4)")


def test_without_the_library_it_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    file = write(tmp_path / "echoes.json", echoes(10))
    with pytest.raises(RequestError, match=r"bitsandbytes is not here[\s\S]*pip install 'regraft\[quantize\]', or lora without quantize"):
        rg.plan(file, store=tmp_path / "store", model=f"file:{decoder_folder(tmp_path / 'decoder')}+quantize(nf4)")


def test_a_layer_multiplies_by_what_it_says(library):
    from regraft.surgery.quantize import QuantizedLinear

    torch.manual_seed(0)
    plain = nn.Linear(40, 24)
    made = QuantizedLinear(plain.weight.detach(), plain.bias, "nf4")
    inputs = torch.randn(2, 3, 40, requires_grad=True)
    out = made(inputs)
    assert made.codes.numel() * made.codes.element_size() == 40 * 24 // 2
    assert torch.allclose(out, nn.functional.linear(inputs, made.weight, plain.bias), atol=1e-5)
    assert 0.02 < float((made.weight - plain.weight.detach()).abs().mean() / plain.weight.detach().abs().mean()) < 0.15
    out.square().sum().backward()
    expected = 2 * (out.detach() @ made.weight)
    assert torch.allclose(inputs.grad, expected, atol=1e-4)
    assert plain.bias.grad.shape == (24,)
    back = made.plain()
    assert type(back) is nn.Linear
    assert torch.allclose(back(inputs), out, atol=1e-5)


def test_a_transposed_layer_comes_back_as_one(library):
    from transformers.pytorch_utils import Conv1D

    from regraft.surgery.quantize import QuantizedLinear

    plain = Conv1D(24, 40)
    made = QuantizedLinear(plain.weight.detach().T, plain.bias, "fp4", transposed=True)
    inputs = torch.randn(5, 40)
    back = made.plain()
    assert type(back) is Conv1D
    assert back.weight.shape == plain.weight.shape
    assert torch.allclose(back(inputs), made(inputs), atol=1e-5)


def test_lora_stands_over_it_and_is_not_folded_into_it(library):
    network = llama()
    before = sum(tensor.numel() * tensor.element_size() for tensor in network.host.state_dict().values())
    for index in (1, 2):
        apply(network, index, Quantize())
    assert sum(tensor.numel() * tensor.element_size() for tensor in network.host.state_dict().values()) < 0.6 * before
    inputs = {"input_ids": torch.arange(2, 12).reshape(2, 5), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    with torch.no_grad():
        alone = network(inputs)
        record = apply(network, 1, Lora(rank=2))
        assert torch.equal(network(inputs), alone)
    with pytest.raises(TrunkError, match="the weights under it are quantised and would round it away"):
        merge(network, record)
    with pytest.raises(TrunkError, match="has no linear layer, or they are quantised already"):
        apply(llama(), 0, Quantize())


def test_it_is_learned_stored_read_back_and_exported(library, tmp_path):
    from transformers import AutoModelForCausalLM

    from regraft.serve.export import export

    file, folder = write(tmp_path / "echoes.json", echoes()), decoder_folder(tmp_path / "decoder", tied=False)
    made = rg.tune(file, store=tmp_path / "store", model=f"file:{folder}+quantize(nf4)", strategy="lora(rank=4)", name="small", **OPTIONS)
    assert made.metrics["test"]["perplexity"]["value"] < 250  # a guess among 258 bytes
    assert made.evaluate(file, against=made)["against"]["verdict"] == "tie"
    kept = made.record.manifest["edits"]
    assert [row["edit"]["kind"] for row in kept] == ["quantize", "quantize", "lora", "lora"]
    document = export(made.store, made.digest, "hf", tmp_path / "hf")
    assert document["verified"]["largest_difference"] < 1e-4
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    assert type(plain.model.layers[0].mlp.up_proj) is nn.Linear
