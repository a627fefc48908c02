from __future__ import annotations

from pathlib import Path

import pytest

from lineage.making import objects, tuned
from regraft.errors import DamagedError


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_damaged_tensor_is_named_and_never_served(store):
    generation = tuned(store, 1.0)
    flip(objects(store)[0])
    with pytest.raises(DamagedError, match="damaged: tensor "):
        store.tensor_files(generation)
    with pytest.raises(DamagedError, match="damaged: tensor "):
        store.verify(generation)


@pytest.mark.parametrize("size", [0, 4, 40])
def test_a_cut_off_tensor_file_is_found(store, size):
    generation = tuned(store, 1.0)
    objects(store)[0].write_bytes(objects(store)[0].read_bytes()[:size])
    with pytest.raises(DamagedError, match=r"tensor head\.weight"):
        store.tensor_files(generation)


def test_a_missing_tensor_file_is_found(store):
    generation = tuned(store, 1.0)
    objects(store)[0].unlink()
    with pytest.raises(DamagedError, match="damaged: tensor"):
        store.tensor_files(generation)
    with pytest.raises(DamagedError, match="it is missing"):
        store.tensor_files(generation, verify=False)


def test_a_damaged_asset_is_named_and_never_served(store):
    generation = tuned(store, 1.0)
    store.asset_files(generation)["tokenizer.json"].write_bytes(b"{ }")
    with pytest.raises(DamagedError, match=r"read tokenizer\.json"):
        store.asset_files(generation)
    with pytest.raises(DamagedError, match=r"damaged: asset tokenizer\.json"):
        store.verify(generation)


def test_a_manifest_changed_by_hand_is_found(store):
    generation = tuned(store, 1.0, metrics={"test": {"accuracy": 0.5}})
    path = Path(store.location) / "generations" / f"{generation.digest}.json"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    with pytest.raises(DamagedError, match="does not match its checksum"):
        store.get("tickets")
    (row,) = store.log()
    assert row["digest"] == generation.digest and "checksum" in row["damaged"]


def test_a_manifest_with_a_forged_checksum_is_still_found_by_verify(store):
    from regraft.lineage import record

    generation = tuned(store, 1.0)
    forged = {**generation.manifest, "classes": ["b", "a"]}
    (Path(store.location) / "generations" / f"{generation.digest}.json").write_bytes(record.written(forged))
    with pytest.raises(DamagedError, match="damaged: the manifest"):
        store.verify(generation)


def test_adding_again_mends_what_was_damaged(store):
    generation = tuned(store, 1.0)
    flip(objects(store)[0])
    store.asset_files(generation)["tokenizer.json"].write_bytes(b"")
    assert tuned(store, 1.0).digest == generation.digest
    store.verify(store.get("tickets"))


def test_a_child_does_not_lean_on_a_damaged_parent(store):
    tuned(store, 1.0)
    flip(objects(store)[0])
    child = tuned(store, 2.0, parent="tickets")
    store.verify(child)
