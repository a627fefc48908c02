"""Export for other libraries: what they read from the folder alone answers as the generation does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import regraft as rg
from regraft.errors import RequestError
from regraft.serve.export import export
from regraft.serve.rebuild import network
from small import data, model  # noqa: F401

QUICK = {"epochs": 1.0, "lr": 1e-2, "batch_size": 8, "refit": False}
TEXTS = ["where is my card", "my money back please"]


def made(data, model, tmp_path, **options):  # noqa: F811
    return rg.tune(data, model=model, store=tmp_path / "store", name="mine", **{**QUICK, **options})


def logits(generation):
    predictor = generation.predictor
    return predictor.network({name: part for name, part in predictor.encode(TEXTS).batch(np.arange(2)).items()}).detach().numpy()


@pytest.mark.parametrize("strategy", ["lora(rank=2)", "statistics(width=40)"])
def test_texts_become_modules_of_sentence_transformers(strategy, data, model, tmp_path):  # noqa: F811
    sentence_transformers = pytest.importorskip("sentence_transformers")
    generation = made(data, model, tmp_path, strategy=strategy)
    document = export(generation.store, "mine", "hf", tmp_path / "out")
    assert document["verified"]["largest_difference"] < 1e-4 and "config.json" in document["files"]
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    assert np.allclose(theirs, logits(generation), atol=1e-4)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["label2id"] == {name: i for i, name in enumerate(generation.classes)}


def test_lora_becomes_a_peft_adapter(data, model, tmp_path):  # noqa: F811
    generation = made(data, model, tmp_path, strategy="lora(rank=2)")
    export(generation.store, "mine", "peft", tmp_path / "out")
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModel

    host = PeftModel.from_pretrained(
        AutoModel.from_pretrained(model.removeprefix("file:"), add_pooling_layer=False), tmp_path / "out"
    ).eval()
    head = load_file(tmp_path / "out" / "head.safetensors")
    inputs = generation.predictor.encode(TEXTS).batch(np.arange(2))
    with torch.inference_mode():
        pooled = generation.predictor.network.head.pool(host(**inputs).last_hidden_state, inputs["attention_mask"])
        assert np.allclose(pooled @ head["linear.weight"].T + head["linear.bias"], logits(generation), atol=1e-4)
    assert sum(row["bytes"] for name, row in document_files(tmp_path / "out")) < 200_000


def document_files(folder):
    return [(file.name, {"bytes": file.stat().st_size}) for file in folder.iterdir()]


def test_what_no_library_can_hold_is_refused_and_leaves_nothing(data, model, tmp_path):  # noqa: F811
    generation = made(data, model, tmp_path, strategy="full")
    for to, found in (("peft", "in its trunk stands no LoRA"), ("timm", "is no model of timm"), ("coreml", "no such form")):
        with pytest.raises(RequestError, match=found):
            export(generation.store, "mine", to, tmp_path / "out")
    adapted = made(data, model, tmp_path, strategy="adapter(width=4)")
    with pytest.raises(RequestError, match="is no part of that library's model"):
        export(adapted.store, adapted.digest, "hf", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "it").write_text("mine")
    with pytest.raises(RequestError, match="something is there already"):
        export(generation.store, generation.digest, "hf", tmp_path / "full")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.part").exists()


def pictures(folder):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, grey in (("dark", 60), ("light", 190)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(rng.integers(grey - 50, grey + 50, (32, 32, 3), np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("to", ["timm", "hf"])
def test_pictures_become_a_classifier_of_the_library(to, tmp_path):
    if to == "timm":
        import timm

        torch.manual_seed(0)
        timm.create_model("resnet10t", num_classes=0)
        reference, strategy = "timm:resnet10t", "scratch"
    else:
        from transformers import ViTConfig, ViTModel

        torch.manual_seed(0)
        config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8)
        ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
        reference, strategy = f"file:{tmp_path / 'vit'}", "lora(rank=2)"
    generation = rg.tune(
        pictures(tmp_path / "pictures"), model=reference, strategy=strategy, store=tmp_path / "store", name="mine", input_size=32, **QUICK
    )
    document = export(generation.store, "mine", to, tmp_path / "out")
    assert document["verified"]["num_inputs"] == 3
    rebuilt = network(generation.store, "mine")
    pixels = torch.rand(2, 3, 32, 32)
    if to == "timm":
        again = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    else:
        import transformers

        whole = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "out").eval()
        assert whole.config.id2label == {0: "dark", 1: "light"}
        again = lambda given: whole(pixel_values=given).logits  # noqa: E731
    with torch.inference_mode():
        assert torch.allclose(again(pixels), rebuilt.network({"image": pixels}), atol=1e-4)


def spoken(folder):
    """Noise and what nobody said in it: a table and its clips."""
    import soundfile

    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(10):
        soundfile.write(folder / f"{number}.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    rows = [f"{number}.wav,{'ab' if number % 2 else 'b a'},{'test' if number > 7 else 'train'}" for number in range(10)]
    (folder / "data.csv").write_text("\n".join(["file,transcript,split", *rows]))
    return folder / "data.csv"


def test_written_speech_becomes_a_ctc_model_of_transformers(tmp_path):
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "num_conv_pos_embeddings": 4}
    config = transformers.Wav2Vec2Config(conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(20, 16), num_conv_pos_embedding_groups=2,
                                         num_feat_extract_layers=2, **sizes)  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "w2v")
    generation = rg.tune(
        spoken(tmp_path / "data"), model=f"file:{tmp_path / 'w2v'}", strategy="top(n=0)", store=tmp_path / "store", name="mine", **QUICK
    )
    document = export(generation.store, "mine", "hf", tmp_path / "out")
    assert document["verified"]["largest_difference"] < 1e-4
    whole = transformers.AutoModelForCTC.from_pretrained(tmp_path / "out").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (whole.config.pad_token_id, tokenizer.decode([1, 3, 1, 2, 0, 1])) == (3, "aab a")


def test_what_transformers_has_no_class_for_is_refused(tmp_path):
    small = "module:regraft.testing.hosts.trunk_of?name=mel_resnet"
    generation = rg.tune(spoken(tmp_path / "data"), model=small, strategy="top(n=0)", store=tmp_path / "store", name="mine", **QUICK)
    with pytest.raises(RequestError, match="is no model of transformers"):
        export(generation.store, "mine", "hf", tmp_path / "out")
