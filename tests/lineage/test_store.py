from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from lineage.making import manifest, model, numbers, objects, python, tuned
from regraft.errors import LineageError
from regraft.lineage import Store, TensorData


def test_what_is_added_comes_back_as_it_was(store):
    generation = tuned(store, 2.0, metrics={"test": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 40}}})
    again = Store(store.location).get("tickets")
    assert again == generation
    assert again.manifest["metrics"]["test"]["accuracy"]["value"] == 0.9
    assert store.assets(again) == {"tokenizer.json": b"{}"}
    assert store.asset_files(again)["tokenizer.json"].read_bytes() == b"{}"


def test_the_safetensors_library_reads_what_is_written(store):
    import numpy as np
    from safetensors.numpy import load_file

    generation = tuned(store, 2.0)
    path, key = store.tensor_files(generation)["head.weight"]
    loaded = load_file(path)
    np.testing.assert_array_equal(loaded[key], np.array([2.0, 2.0], dtype=np.float32))
    assert loaded["host.block.count"].shape == () and loaded["host.block.count"] == 7


def test_tensors_of_every_width_and_of_no_elements_are_kept(store):
    from safetensors import safe_open

    tensors = {
        "half": TensorData("torch.bfloat16", (3,), b"\x80\x3f" * 3),
        "bool": TensorData("bool", (3,), b"\x01\x00\x01"),
        "empty": TensorData("float32", (0, 4), b""),
        "wide": TensorData("F64", (1,), bytearray(8)),
        "view": TensorData("float32", (2, 2), memoryview(bytes(16))),
    }
    generation = store.add(manifest(), tensors, assets={}, name="odd")
    store.verify(generation)
    with safe_open(objects(store)[0], framework="numpy") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (it is not a mapping)
        assert {name: tuple(part.get_shape()) for name, part in slices.items()} == {name: t.shape for name, t in tensors.items()}
        assert {name: part.get_dtype() for name, part in slices.items()} == {
            "half": "BF16",
            "bool": "BOOL",
            "empty": "F32",
            "wide": "F64",
            "view": "F32",
        }


def test_a_child_writes_only_what_its_ancestors_do_not_hold(store):
    first = tuned(store, 1.0)
    second = tuned(store, 2.0, parent="tickets")
    third = tuned(store, 1.0, parent=second.digest)  # its head is that of its grandparent
    assert (first.digest, second.parent, third.parent) == (second.parent, first.digest, second.digest)
    table = store.table(second)
    holders = {name: row["holder"] for name, row in table.items()}
    assert holders["host.stem.weight"] == store.table(first)["host.stem.weight"]["holder"] != holders["head.weight"]
    assert len(objects(store)) == 2
    assert second.stored_bytes < first.stored_bytes
    store.verify(third)


def test_pretrained_weights_are_stored_once_for_all(store):
    pretrained = {name: tensor for name, tensor in model().items() if name.startswith("host")}
    base = store.add_base({"reference": "bundled:minilm"}, pretrained, {"config.json": b"{}"})
    one = tuned(store, 1.0, name="one", base=base)
    two = tuned(store, 2.0, name="two", base=base)
    assert [path.stat().st_size for path in objects(store)].count(max(p.stat().st_size for p in objects(store))) == 1
    assert store.table(one)["host.stem.weight"] == store.table(two)["host.stem.weight"]
    assert one.digest != two.digest
    assert set(store.bases()) == {base}
    store.verify(store.bases()[base])


def test_adding_the_same_base_again_changes_nothing_and_looks_at_nothing_where_the_digest_is_known(store):
    base = store.add_base({"reference": "r"}, model(), {})
    before = {path: path.stat().st_ino for path in (Path(store.location) / "bases").iterdir()}
    assert store.add_base({"reference": "r"}, model(), {}) == base
    assert store.add_base({"reference": "r"}, {"not": "looked at"}, {}, digest=base) == base  # type: ignore[dict-item]
    assert {path: path.stat().st_ino for path in (Path(store.location) / "bases").iterdir()} == before


def test_an_unknown_base_is_refused(store):
    with pytest.raises(LineageError, match="the store holds no such base"):
        tuned(store, 1.0, base="0" * 64)


def test_equal_tensors_under_two_names_are_written_once(store):
    tied = {"embedding": numbers(1, 2), "output": numbers(1, 2)}
    generation = store.add(manifest(), tied, assets={}, name="tied")
    (one, key), (other, other_key) = store.tensor_files(generation).values()
    assert (one, key) == (other, other_key)


def test_the_digest_ignores_what_is_measured_and_nothing_else(store, tmp_path):
    plan = manifest()["plan"]
    first = tuned(store, 1.0, created="2020-01-01T00:00:00", cost={"time_s": 3.0}, environment={"machine": "here"})
    elsewhere = tuned(
        Store(tmp_path / "other"), 1.0, created="2026-01-01T00:00:00", cost={"time_s": 9.0}, plan={**plan, "reasons": [], "cost": {}}
    )
    assert first.digest == elsewhere.digest
    changed = [
        tuned(store, 1.5),
        tuned(store, 1.0, classes=["b", "a"]),
        tuned(store, 1.0, plan={**plan, "settings": {"seed": 1}}),
        tuned(store, 1.0, data={"fingerprint": "0" * 64}),
        tuned(store, 1.0, parent=first.digest),
    ]
    assert len({first.digest, *(generation.digest for generation in changed)}) == 6


def test_adding_the_same_generation_again_keeps_the_first_and_moves_the_name(store):
    first = tuned(store, 1.0)
    again = tuned(store, 1.0, name="other")
    assert again == first
    assert store.names() == {"tickets": first.digest, "other": first.digest}
    assert len(store.log()) == 1


def test_numbers_that_are_not_finite_do_not_spoil_a_manifest(store):
    generation = tuned(store, 1.0, metrics={"test": {"log_loss": float("nan")}})
    assert store.get(generation.digest).manifest["metrics"] == {"test": {"log_loss": None}}


def test_what_is_not_json_is_refused_before_anything_is_written(store):
    with pytest.raises(LineageError, match=r"object .* is not JSON"):
        tuned(store, 1.0, metrics=object())
    assert not Path(store.location).exists()


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "with space", "x" * 120, "a~1", "dot."])
def test_names_that_cannot_be_typed_or_stored_are_refused(store, name):
    with pytest.raises(LineageError, match="names are letters, digits"):
        tuned(store, 1.0, name=name)
    with pytest.raises(LineageError, match="names are letters, digits"):
        store.run_folder(name)


def test_names_may_be_chinese(store):
    assert tuned(store, 1.0, name="工单") == store.get("工单")


def test_the_store_is_found_upward(tmp_path, monkeypatch):
    (tmp_path / ".regraft").mkdir()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("REGRAFT_STORE", raising=False)
    assert Store.locate().location == str(tmp_path / ".regraft")
    monkeypatch.setenv("REGRAFT_STORE", str(tmp_path / "named"))
    assert Store.locate().location == str(tmp_path / "named")
    assert Store.locate(tmp_path / "given").location == str(tmp_path / "given")
    assert not (tmp_path / "named").exists()


def test_a_store_is_made_here_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGRAFT_STORE", raising=False)
    assert Store.locate().location == str(tmp_path / ".regraft")
    assert Store.locate().log() == []
    assert not (tmp_path / ".regraft").exists()


def test_runs_and_cache_have_their_folders(store):
    assert store.run_folder("tickets").is_dir()
    assert store.cache_folder.is_dir()


def test_a_log_of_200_generations_is_read_in_a_tenth_of_a_second(store):
    many = {f"host.blocks.{i}.weight": numbers(i) for i in range(100)}
    phases = [
        {"name": "all", "cells": [{"trainable": True, "lr_scale": 1.0, "edit": None, "only": "all"} for _ in range(14)]} for _ in range(3)
    ]
    for n in range(200):
        store.add(manifest(edits=[n], plan={"strategy": "full", "phases": phases}), many, assets={}, name=f"run-{n % 50}")
    best = min(_timed(Store(store.location).log) for _ in range(3))
    assert len(store.log()) == 200
    assert best < 0.1 * (3 if os.environ.get("CI") else 1)


def _timed(call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def test_history_is_read_without_torch_or_numpy():
    code = "import sys, json; from regraft.lineage import Store; Store(sys.argv[1]).log(); print(json.dumps([m for m in ('torch', 'numpy', 'fsspec') if m in sys.modules]))"
    assert json.loads(python(code)) == []


def test_another_file_system_does_as_well():
    store = Store("memory://lineage-test")
    first = tuned(store, 1.0)
    second = tuned(store, 2.0, parent="tickets")
    store.verify(second)
    assert store.get("tickets~1") == first
    assert store.rollback("tickets") == first
    assert [row["digest"] for row in Store("memory://lineage-test").log()] == [second.digest, first.digest]
    with pytest.raises(LineageError, match="no name, tag or digest"):
        store.get("nothing")
    swept = store.gc(dry_run=False, grace_s=-10)
    assert swept["unreachable"] == []
