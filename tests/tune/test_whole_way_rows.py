"""Rows of text and columns: the fused head, with the cache and without, and the whole way from a table to answers about a row."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

import regraft as rg
from regraft import tasks
from regraft.cache.boundary import Boundary
from regraft.cache.pooled import linear_features, pooled_features
from regraft.data.encode import encode, prepare
from regraft.data.load import load
from regraft.errors import RequestError
from regraft.serve.export import export
from regraft.surgery.fused_head import FusedHead
from regraft.surgery.heads import strip
from regraft.trunk.load import load as load_model
from regraft.trunk.network import Network
from small import tickets

OPTIONS = {"epochs": 1.0, "lr": 3e-3, "batch_size": 16, "refit": False}
TABLE = "text-table-classification"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """120 rows whose label is told by two columns alone; the text says nothing of it."""
    chance, path = np.random.default_rng(0), tmp_path_factory.mktemp("rows") / "rows.csv"
    texts = [text for text, _ in tickets()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "amount", "housing", "label"])
        for i in range(120):
            amount, housing = chance.normal(1000, 300), chance.choice(["own", "rent", "free"])
            writer.writerow(
                [texts[i % len(texts)] + f" {i}", f"{amount:.1f}", housing, "bad" if amount + 400 * (housing == "rent") > 1100 else "good"]
            )
    return path


def network_of(model, dataset):
    trunk = load_model(model)
    strip(trunk)
    torch.manual_seed(0)
    task = tasks.of(TABLE).bound(dataset.facts)
    return Network(trunk, task.head(trunk, len(dataset.classes), 0.0)).eval()


def test_cached_is_live_at_every_boundary_and_the_columns_reach_the_head(model, rows):
    dataset = load(rows, task=TABLE)
    network = network_of(model, dataset)
    encoded = encode(dataset.splits["train"], network.trunk.input, network.trunk.tokenizer)
    inputs = prepare(encoded.batch(np.arange(5)), network.trunk.input)
    assert inputs["columns"].shape == (5, 4)
    for index in range(1, len(network.trunk.stages) + 1):
        assert Boundary(network, index).probe(inputs) == 0.0
    other = {**inputs, "columns": inputs["columns"] + 1}
    assert not torch.equal(network(inputs), network(other))
    top = Boundary(network, len(network.trunk.stages))
    top.examine(inputs)
    assert torch.equal(top.resume(top.capture_pooled(inputs), inputs), network(inputs)), "pooled features, the columns from the batch"


def test_the_linear_layer_reads_the_features_and_the_columns(model, rows):
    dataset = load(rows, task=TABLE)
    network = network_of(model, dataset)
    encoded = encode(dataset.splits["valid"], network.trunk.input, network.trunk.tokenizer)
    read, pooled = linear_features(network, encoded), pooled_features(network, encoded)
    assert read.shape == (len(encoded), pooled.shape[1] + 4)
    assert np.array_equal(read[:, -4:], encoded.columns)
    assert read[:, :-4].std(axis=1) == pytest.approx(np.ones(len(encoded)), abs=1e-3)
    part = encoded.subset([2, 0])
    assert np.array_equal(part.columns, encoded.columns[[2, 0]])
    with torch.no_grad():
        live = network(prepare(encoded.batch(np.arange(len(encoded))), network.trunk.input))
        solved = network.head.linear(torch.from_numpy(read))
    assert torch.allclose(live, solved, atol=1e-5)


def test_a_batch_as_wide_as_there_are_columns_is_trimmed_of_padding_alone():
    from regraft.train.feed import trim

    inputs = {"input_ids": torch.tensor([[3, 0]]), "attention_mask": torch.tensor([[1, 0]]), "columns": torch.tensor([[1.0, 2.0]])}
    assert trim(inputs)["columns"].tolist() == [[1.0, 2.0]] and trim(inputs)["input_ids"].tolist() == [[3]]


def test_a_head_without_columns_is_a_linear_one_on_normed_features():
    head = FusedHead(8, 0, 3)
    features = torch.randn(4, 8)
    assert torch.allclose(head(features, None, torch.empty(4, 0)), head.linear(head.norm(features)))


def test_the_whole_way(model, rows, tmp_path):
    store = tmp_path / "store"
    made = rg.tune(rows, model=model, task=TABLE, strategy="linear_probe", store=store, name="fused", **OPTIONS)
    alone = rg.tune(
        rows, model=model, task="text-classification", input="text", strategy="linear_probe", store=store, name="alone", **OPTIONS
    )
    assert made.metrics["test"]["accuracy"]["value"] > alone.metrics["test"]["accuracy"]["value"] + 0.1, "only the columns tell"
    one = {"text": "where is my card", "amount": 1900, "housing": "rent"}
    (answer,) = made.predict([one])
    assert answer["label"] == "bad" and answer["input"] == one
    again = rg.open("fused", store=store)
    assert again.predict([one]) == [answer]
    assert again.predict([{**one, "amount": None, "more": 3}])[0]["label"] in made.classes
    found = again.evaluate(rows, against=made)
    assert found["against"]["verdict"] == "tie" and found["metrics"]["accuracy"]["n"] == 120
    with pytest.raises(RequestError, match="it has no column 'housing'"):
        made.predict([{"text": "a", "amount": 2}])
    with pytest.raises(RequestError, match="it reads columns of a table"):
        made.grow(rows)
    with pytest.raises(RequestError, match="its head reads columns of a table beside the text"):
        export(made.store, "fused", "hf", tmp_path / "out")


@pytest.mark.parametrize("strategy", ["lp_ft", "freeze(below=blocks.1)+lora(rank=2)"])
def test_frozen_stages_are_read_from_the_cache(model, rows, tmp_path, strategy):
    made = rg.tune(rows, model=model, task=TABLE, strategy=strategy, store=tmp_path, name="some", **{**OPTIONS, "epochs": 2.0})
    assert made.record.manifest["cost"]["cache"]["phases_cached"] == 1
    assert not any("trained live" in warning for warning in made.document["warnings"])


def test_a_row_is_one_cell_on_the_terminal():
    from regraft.cli.predict import text

    shown = text([{"input": {"age": "3", "housing": None}, "label": "a", "probability": 0.5, "top": []}]).splitlines()
    assert shown[0].split() == ["input", "label", "probability"] and shown[2].startswith("age: 3")
