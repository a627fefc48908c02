"""A generation answers from the store alone, exactly as the network did that was stored; damaged or misfitting bytes are never served."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from transformers import PreTrainedTokenizerFast

from regraft.errors import DamagedError, DataError, LineageError, RequestError
from regraft.lineage.store import Store
from regraft.lineage.tensors import TensorData
from regraft.serve import Predictor, rebuild
from regraft.spec import InputSpec
from regraft.surgery.edits import EditRecord, apply
from regraft.surgery.specs import Lora
from regraft.tasks import of
from regraft.trunk import load, tensors
from regraft.trunk.network import Network
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk

WORDS = {"[PAD]": 0, "[UNK]": 1, "where": 2, "is": 3, "my": 4, "card": 5, "money": 6}
CLASSES = ["card", "money", "other"]
IMAGE = InputSpec(kind="image", size=(8, 8))
TEXTS = ["where is my card", "money", "where is my money where is my card is my", "is"]


class Reader(nn.Module):
    """Two stages over token ids (B, L): a table of 8 numbers for each word, and a mixing layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.mix = nn.Embedding(len(WORDS), 8), nn.Linear(8, 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.mix(self.words(input_ids)))


class Looker(nn.Module):
    """Two stages over images (B, 3, 8, 8), the second with the running statistics of batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(image)).mean((2, 3))


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16)


def empty_trunk(source: dict[str, Any], assets: dict[str, bytes]) -> Trunk:
    """Random weights in the architecture that ``source`` names: what ``trunk.load.rebuild`` promises."""
    if source["toy"] == "reader":
        stages = (Stage("stem", ("words",)), Stage("blocks.0", ("mix",)))
        spec = InputSpec(kind="text", max_length=16)
        return Trunk(
            host=Reader(), stages=stages, input=spec, width=8, pooling="mean", source=source, tokenizer=tokenizer(),
            run=lambda host, inputs: host(inputs["input_ids"], inputs["attention_mask"]),
        )  # fmt: skip
    return Trunk(host=Looker(), stages=(Stage("stem", ("first",)), Stage("blocks.0", ("second",))), input=IMAGE, width=8, source=source)


@dataclass
class Stored:
    store: Store
    network: Network
    manifest: dict[str, Any]


@pytest.fixture(autouse=True)
def toy_architectures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(load, "rebuild", empty_trunk)


def keep(folder: Path, toy: str, *, lora: bool = False, **changes: Any) -> Stored:
    """A network with random weights, stored as the generation ``mine``; ``changes`` overrule the manifest."""
    torch.manual_seed(1)
    trunk = empty_trunk({"toy": toy}, {})
    task = of("text-classification" if toy == "reader" else "image-classification")
    network = Network(trunk, task.head(trunk, 3, 0.1))
    records: list[EditRecord] = [apply(network, 1, Lora(rank=2))] if lora else []
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.1)
    manifest = {
        "task": task.name, "model": "toy", "classes": CLASSES, "source": {"toy": toy}, "input": trunk.input.json(), "pooling": trunk.pooling,
        "edits": [record.json() for record in records], "plan": {"settings": {"max_length": 0}}, **changes,
    }  # fmt: skip
    store = Store(folder / "store")
    store.add({k: v for k, v in manifest.items() if v is not None}, pack(network), assets={}, name="mine")
    return Stored(store, network.eval(), manifest)


def pack(network: nn.Module) -> dict[str, TensorData]:
    return {name: TensorData(*part) for name, part in tensors.state(network).items()}


def live(network: Network, words: list[str]) -> np.ndarray:
    ids = torch.tensor([[WORDS[word] for word in words]])
    with torch.inference_mode():
        return network({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).softmax(1)[0].numpy()


@pytest.mark.parametrize("lora", [False, True])
def test_texts_are_answered_as_the_stored_network_would(tmp_path: Path, lora: bool):
    stored = keep(tmp_path, "reader", lora=lora)
    predictions = Predictor.load(stored.store, "mine").predict(TEXTS)
    assert [p["input"] for p in predictions] == TEXTS
    for text, prediction in zip(TEXTS, predictions, strict=True):
        expected = live(stored.network, text.split())
        assert prediction["label"] == CLASSES[expected.argmax()]
        assert prediction["probability"] == pytest.approx(expected.max(), abs=1e-6)


def test_images_are_answered_as_the_stored_network_would(tmp_path: Path):
    stored = keep(tmp_path, "looker")
    paths = []
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(pixels).save(paths[-1])
    found = Predictor.load(stored.store, "mine").answers(paths)
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths]) / 255
    ready = torch.tensor((pixels - IMAGE.mean) / IMAGE.std, dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.inference_mode():
        assert np.allclose(found, stored.network({"image": ready}).softmax(1).numpy(), atol=1e-5)


def test_an_answer_does_not_depend_on_what_else_is_asked(tmp_path: Path):
    predictor = Predictor.load(keep(tmp_path, "reader").store, "mine")
    alone = np.concatenate([predictor.answers([text]) for text in TEXTS])
    assert np.allclose(predictor.answers(TEXTS), alone, atol=1e-6)


def test_a_split_that_is_encoded_already_is_taken_as_it_is(tmp_path: Path):
    predictor = Predictor.load(keep(tmp_path, "reader").store, "mine")
    assert np.array_equal(predictor.answers(predictor.encode(TEXTS)), predictor.answers(TEXTS))


def test_nothing_asked_is_nothing_answered(tmp_path: Path):
    assert Predictor.load(keep(tmp_path, "reader").store, "mine").predict([]) == []


def test_the_limit_on_length_is_that_of_training(tmp_path: Path):
    predictor = Predictor.load(keep(tmp_path, "reader", plan={"settings": {"max_length": 2}}).store, "mine")
    assert np.allclose(predictor.answers(["where is my card"]), predictor.answers(["where is"]))


def test_the_input_and_pooling_of_training_overrule_those_of_the_architecture(tmp_path: Path):
    rebuilt = rebuild.network(keep(tmp_path, "reader", pooling="first", input=InputSpec(kind="text", max_length=4).json()).store, "mine")
    assert rebuilt.network.head.pooling == "first"
    assert rebuilt.spec.max_length == rebuilt.network.trunk.input.max_length == 4


def test_the_network_is_in_eval_mode_and_nothing_moves(tmp_path: Path):
    network = rebuild.network(keep(tmp_path, "looker").store, "mine").network
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_damaged_weights_are_found_and_never_served(tmp_path: Path):
    stored = keep(tmp_path, "reader")
    (file,) = (tmp_path / "store" / "objects").glob("*.safetensors")
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedError, match="damaged: tensor "):
        Predictor.load(stored.store, "mine")


def test_weights_of_another_architecture_are_refused(tmp_path: Path):
    stored = keep(tmp_path, "reader", classes=["one", "two"])
    with pytest.raises(
        DamagedError, match=r"load 'head\.linear\.bias' from .*\nfound: it is torch\.float32 \(3,\), the model has torch\.float32 \(2,\)"
    ):
        Predictor.load(stored.store, "mine")


def test_a_manifest_that_leaves_something_out_is_refused_by_name(tmp_path: Path):
    stored = keep(tmp_path, "reader", pooling=None, input=None)
    with pytest.raises(LineageError, match="its manifest does not say: input, pooling"):
        Predictor.load(stored.store, "mine")


def test_one_text_instead_of_a_list_is_refused(tmp_path: Path):
    with pytest.raises(RequestError, match=r"one text where a list of them is expected\ntry:   predict\(\[\.\.\.\]\)"):
        Predictor.load(keep(tmp_path, "reader").store, "mine").predict("where is my card")  # type: ignore[arg-type]


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png"):
        Predictor.load(keep(tmp_path, "looker").store, "mine").predict([str(broken)])


def test_serving_loads_neither_plans_nor_training():
    code = "import sys, regraft.serve; print(*sorted(m for m in sys.modules if m.startswith(('regraft.plan', 'regraft.train', 'regraft.tune'))))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
