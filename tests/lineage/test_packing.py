from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.lineage.packing import SAVES, SAVES_ALONE, SMALLEST, pack, unpack
from regraft.lineage.tensors import TensorData

PATTERNS = {"F32": np.uint32, "F16": np.uint16, "BF16": np.uint16}


def floats(values: np.ndarray) -> TensorData:
    return TensorData("F32", values.shape, values.astype("<f4").tobytes())


@pytest.mark.parametrize("dtype", PATTERNS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), reach=st.integers(0, 12))
def test_any_bit_pattern_comes_back_exactly(dtype, seed, reach):
    """NaNs of every kind, infinities, both zeros and subnormal numbers among them, in the ancestor as in the child."""
    rng = np.random.default_rng(seed)
    kind = PATTERNS[dtype]
    old = rng.integers(0, np.iinfo(kind).max, SMALLEST + seed, dtype=kind, endpoint=True)
    new = old ^ rng.integers(0, 1 << reach, len(old), dtype=kind)
    packed = pack(TensorData(dtype, new.shape, new.tobytes()), old.tobytes())
    assert packed is not None or reach > 4
    if packed is not None:
        assert len(packed) <= (1 - SAVES) * new.nbytes
        assert unpack(packed, old.tobytes(), dtype, len(new)) == new.tobytes()


@pytest.mark.parametrize("moved", [1e-3, 1e-4])
def test_a_child_near_its_ancestor_takes_close_to_what_its_moves_tell(moved):
    """A Gaussian move of deviation s tells log2(s sqrt(2 pi e) / step) bits, where a step is the distance of two neighbouring floats."""
    rng = np.random.default_rng(0)
    old = rng.normal(scale=0.05, size=100_000).astype(np.float32)
    new = (old + rng.normal(scale=moved, size=len(old))).astype(np.float32)
    packed = pack(floats(new), old.tobytes())
    step = np.spacing(np.abs(new)).astype(float)
    told = np.log2(moved * np.sqrt(2 * np.pi * np.e) / step).mean() / 32
    assert packed is not None and len(packed) / new.nbytes < told + 0.02


def test_what_saves_too_little_is_not_packed():
    rng = np.random.default_rng(0)
    old, new = (rng.normal(size=SMALLEST).astype(np.float32) for _ in range(2))
    assert pack(floats(new), old.tobytes()) is None
    assert pack(floats(old[:-1]), old[:-1].tobytes()) is None  # too few
    assert pack(floats(old), old[:-1].tobytes()) is None  # no tensor of its shape
    assert pack(TensorData("I64", (SMALLEST,), bytes(8 * SMALLEST)), bytes(8 * SMALLEST)) is None


def test_equal_tensors_take_next_to_nothing():
    old = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    packed = pack(floats(old), old.tobytes())
    assert packed is not None and len(packed) < 1000


@pytest.mark.parametrize("moved", [0, 3, 200, 490])
def test_of_a_table_only_the_rows_that_moved_are_packed(moved):
    rng = np.random.default_rng(moved)
    old = rng.normal(size=(1_000, 32)).astype(np.float32)
    new, rows = old.copy(), rng.permutation(1_000)[:moved]
    new[rows] += rng.normal(scale=1e-4, size=(moved, 32)).astype(np.float32)
    packed = pack(floats(new), old.tobytes())
    assert packed is not None and unpack(packed, old.tobytes(), "F32", old.size) == new.tobytes()
    assert len(packed) <= 150 + moved * 32 * 4 * (1.0 if moved * 32 < SMALLEST else 0.75)


def test_some_rows_that_are_cut_off_or_belong_to_another_table_are_refused():
    old = np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)
    new = old.copy()
    new[7] += 1
    packed = pack(floats(new), old.tobytes())
    assert packed is not None
    with pytest.raises(ValueError, match="100 rows in 5 bytes"):
        unpack(packed[:2] + (100).to_bytes(3, "little"), old.tobytes(), "F32", old.size)
    with pytest.raises(ValueError, match=r"100 rows in \d+ bytes, where the ancestor has 6390 numbers"):
        unpack(packed, old.tobytes()[:-40], "F32", old.size - 10)
    with pytest.raises(ValueError):
        unpack(packed[:60], old.tobytes(), "F32", old.size)


def test_bytes_of_something_else_are_refused():
    old = np.random.default_rng(0).normal(size=SMALLEST).astype(np.float32)
    packed = pack(floats(old * np.float32(1 + 1e-6)), old.tobytes())
    assert packed is not None
    with pytest.raises(ValueError, match="groups, where the ancestor has 1"):
        unpack(packed, bytes(4 * SMALLEST), "F32", SMALLEST)
    with pytest.raises(ValueError, match="no I32 is packed"):
        unpack(packed, old.tobytes(), "I32", SMALLEST)
    with pytest.raises(ValueError):
        unpack(packed[:40], old.tobytes(), "F32", SMALLEST)


def test_without_an_ancestor_the_exponents_are_packed():
    rng = np.random.default_rng(0)
    new = rng.normal(scale=0.01, size=3 * SMALLEST).astype(np.float32)
    packed = pack(floats(new), None)
    assert packed is not None and len(packed) <= (1 - SAVES_ALONE) * new.nbytes
    assert unpack(packed, None, "F32", len(new)) == new.tobytes()
    anything = rng.integers(0, 1 << 32, SMALLEST, dtype=np.uint32)
    assert pack(TensorData("F32", anything.shape, anything.tobytes()), None) is None
