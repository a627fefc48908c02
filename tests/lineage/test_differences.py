"""Tensors that are stored as differences: shared, read, verified, swept and carried like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lineage.making import manifest, objects
from lineage.test_damage import flip
from regraft.errors import DamagedError
from regraft.lineage import Generation, Store, TensorData
from regraft.trunk.tensors import read_state

SIZE = 20_000
WEIGHT = "host.block.weight"


def weights(step: int) -> np.ndarray:
    """Those of the base, moved ``step`` times a little."""
    rng = np.random.default_rng(0)
    return rng.normal(size=SIZE).astype(np.float32) + np.float32(1e-4 * step) * rng.normal(size=SIZE).astype(np.float32)


def model(step: int) -> dict[str, TensorData]:
    data = weights(step)
    return {WEIGHT: TensorData("float32", data.shape, data.tobytes())}


def added(store: Store, step: int, parent: str | None = None, name: str = "it") -> Generation:
    base = store.add_base({"reference": "r"}, model(0), {})
    return store.add(manifest(base=base), model(step), assets={}, name=name, parent=parent)


def read(store: Store, generation: Generation) -> np.ndarray:
    return read_state(store.tensor_files(generation))[WEIGHT].numpy()


def test_a_child_near_its_ancestor_is_stored_as_a_difference_and_read_back_exactly(store):
    child = added(store, 1)
    assert child.stored_bytes < 0.75 * 4 * SIZE
    assert read(store, child).tobytes() == weights(1).tobytes()
    assert store.table(child)[WEIGHT]["digest"] == model(1)[WEIGHT].digest
    assert store.verify_lineage("it")["tensors"] == 2


def test_a_difference_is_never_to_a_difference(store):
    added(store, 1)
    grandchild = added(store, 2, parent="it")
    (base,) = store.bases().values()
    row = store.table(grandchild)[WEIGHT]
    assert row["packed"]["against"]["holder"] == store.table(base)[WEIGHT]["holder"]
    assert read(store, grandchild).tobytes() == weights(2).tobytes()


def far(store: Store, *moves: float) -> list[Generation]:
    """Generations of one line, each moved a little from weights that are nowhere near the base's: the first is stored whole."""
    base = store.add_base({"reference": "r"}, model(0), {})
    start = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
    tensors = [{WEIGHT: TensorData("float32", start.shape, (start + np.float32(move)).tobytes())} for move in moves]
    first = store.add(manifest(base=base), tensors[0], assets={}, name="first")
    return [first, *(store.add(manifest(base=base), one, assets={}, name="it", parent="first") for one in tensors[1:])]


def test_a_child_leans_on_the_nearest_that_is_whole(store):
    first, child = far(store, 0, 1e-5)
    assert "packed" not in store.table(first)[WEIGHT]
    assert store.table(child)[WEIGHT]["packed"]["against"]["digest"] == store.table(first)[WEIGHT]["digest"]
    assert read(store, child).tobytes() == (read(store, first) + np.float32(1e-5)).tobytes()


def test_a_difference_is_shared_by_who_has_the_same_tensor(store):
    one = added(store, 1)
    other = added(store, 1, parent="it", name="other")
    assert store.table(other) == store.table(one) and other.stored_bytes < 2000
    assert read(store, other).tobytes() == weights(1).tobytes()


def test_what_a_difference_is_to_stays_when_its_generation_goes(store):
    first, child = far(store, 0, 1e-5)
    expected = read(store, child).tobytes()
    (Path(store.location) / "generations" / f"{first.digest}.json").unlink()  # as a store that was thinned out by hand
    store.gc(dry_run=False, grace_s=-1, forget=["first"])
    assert read(store, child).tobytes() == expected


def test_a_bundle_carries_what_a_difference_is_to(store, tmp_path):
    child = added(store, 1)
    store.export("it", tmp_path / "it.zip")
    other = Store(tmp_path / "other")
    taken = other.take(tmp_path / "it.zip")
    assert (taken.digest, read(other, taken).tobytes()) == (child.digest, weights(1).tobytes())


def test_damage_to_a_difference_or_to_what_it_is_to_is_named_and_mended(store):
    child = added(store, 1)
    for path in objects(store):
        sound = path.read_bytes()
        flip(path, -40)
        with pytest.raises(DamagedError, match=rf"damaged: tensor {WEIGHT}"):
            store.tensor_files(child)
        with pytest.raises(DamagedError):
            store.verify_lineage("it")
        assert added(store, 1).digest == child.digest
        assert read(store, child).tobytes() == weights(1).tobytes()
        assert path.read_bytes() == sound or read(store, store.get("it")).tobytes() == weights(1).tobytes()


def test_a_difference_that_unpacks_to_something_else_is_never_served(store, monkeypatch):
    from regraft.lineage import packing

    child = added(store, 1)
    monkeypatch.setattr(packing, "unpack", lambda *given: bytes(4 * SIZE))
    with pytest.raises(DamagedError, match="it is not that of its digest"):
        read(store, child)
    with pytest.raises(DamagedError, match="it is not that of its digest"):
        store.verify_lineage("it")


def test_what_no_ancestor_has_is_packed_alone_and_pretrained_weights_are_not(store):
    added(store, 0)
    lora = {"host.block.lora_A": TensorData("float32", (SIZE,), weights(3).tobytes())}
    child = store.add(manifest(base=next(iter(store.bases()))), {**model(0), **lora}, assets={}, name="it", parent="it")
    table = store.table(child)
    assert table["host.block.lora_A"]["packed"]["against"] is None and "packed" not in table[WEIGHT]
    assert read_state(store.tensor_files(child))["host.block.lora_A"].numpy().tobytes() == weights(3).tobytes()
    store.verify_lineage("it")
