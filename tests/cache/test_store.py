"""The store gives back what was put in, and only that: ragged, checked, shared between processes, never half there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import IMAGE, KEY, RAGGED, WIDTH, padded, rows_of
from torch import Tensor

from regraft.cache.entries import Entries
from regraft.cache.layout import Layout, TensorLayout
from regraft.cache.store import Cache
from regraft.errors import DataError, StorageError


def fill(
    cache: Cache, lengths: list[int], *, key: str = KEY, batch_size: int = 4, dtype: str | None = None, order_seed: int = 0
) -> Entries:
    rows = rows_of(lengths)
    order = np.random.default_rng(order_seed).permutation(len(lengths))
    batches = [(chosen, {"rows": torch.from_numpy(chosen)}) for chosen in np.array_split(order, -(-len(order) // batch_size))]
    return cache.fill(
        key,
        batches,
        lambda inputs: padded(rows, inputs["rows"].numpy(), garbage=7.0),
        layout=RAGGED,
        num_rows=len(lengths),
        lengths=lengths,
        dtype=dtype,
    )


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=23),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_ragged_rows_come_back_padded_with_zeros(tmp_path_factory, lengths, batch_size, seed, data) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"), 1 << 20)
    entries = fill(cache, lengths, batch_size=batch_size, order_seed=seed)
    assert entries.num_bytes == (sum(lengths) + 1) * (WIDTH * 4 + 8)
    for source in (entries, entries.in_memory()):
        chosen = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=12)))
        got, wanted = source.batch(chosen), padded(rows_of(lengths), chosen)
        assert got.keys() == wanted.keys()
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 1e-3), ("bfloat16", 8e-3)])
def test_storage_in_half_precision(tmp_path: Path, dtype: str, tolerance: float) -> None:
    entries = fill(Cache(tmp_path, 1 << 20), [4, 2, 5], dtype=dtype)
    got, wanted = entries.batch([2, 0]), padded(rows_of([4, 2, 5]), np.array([2, 0]))
    assert got["args.0"].dtype == getattr(torch, dtype) and got["kwargs.side"].dtype == torch.int64
    assert ((got["args.0"].float() - wanted["args.0"]).abs() <= tolerance * wanted["args.0"].abs()).all()
    assert entries.layout.num_bytes(3, lengths=[4, 2, 5], dtype=dtype) + WIDTH * got["args.0"].element_size() + 8 == entries.num_bytes


def test_values_too_large_for_float16_are_refused(tmp_path: Path) -> None:
    layout = Layout((TensorLayout("x", (0, 1), (2,), "float32"),))
    with pytest.raises(DataError, match="values beyond 65504"):
        Cache(tmp_path, 1 << 20).fill(
            KEY, [([0], {})], lambda _: {"x": torch.full((1, 2), 1e5)}, layout=layout, num_rows=1, dtype="float16"
        )
    assert not list(tmp_path.iterdir())


def test_channels_last_rows_come_back_channels_last(tmp_path: Path) -> None:
    live = torch.randn(6, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    entries = Cache(tmp_path, 1 << 20).fill(KEY, [([3, 1, 0], {"at": [3, 1, 0]}), ([2, 5, 4], {"at": [2, 5, 4]})],
                                            lambda inputs: {"args.0": live[inputs["at"]]}, layout=IMAGE, num_rows=6)  # fmt: skip
    got = entries.batch(torch.tensor([5, 0, 0]))["args.0"]
    assert torch.equal(got, live[[5, 0, 0]])
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_entries_are_found_again_by_another_cache(tmp_path: Path) -> None:
    fill(Cache(tmp_path, 1 << 20), [3, 1, 4])
    found = Cache(tmp_path, 1 << 20).get(KEY)
    assert found is not None and len(found) == 3
    assert torch.equal(found.batch([2])["args.0"], rows_of([3, 1, 4])[2]["args.0"][None])
    assert Cache(tmp_path, 1 << 20).get("cd" * 32) is None


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def outdated(folder: Path) -> None:
    """A whole, consistent header of another format."""
    from regraft.digest import canonical_json, of_bytes

    body = json.loads((folder / "header.json").read_text())["body"] | {"format": 0}
    (folder / "header.json").write_text(json.dumps({"digest": of_bytes(canonical_json(body)), "body": body}))


DAMAGE = {
    "one bit of the values": lambda folder: flip(folder / "0.bin", 17),
    "one bit of the last value": lambda folder: flip(folder / "1.bin", -1),
    "one bit of the index": lambda folder: flip(folder / "index.bin", 0),
    "one byte of the header": lambda folder: flip(folder / "header.json", 40),
    "a truncated file": lambda folder: os.truncate(folder / "0.bin", 8),
    "a longer file": lambda folder: (folder / "0.bin").write_bytes((folder / "0.bin").read_bytes() + b"x"),
    "a missing file": lambda folder: (folder / "1.bin").unlink(),
    "an empty header": lambda folder: (folder / "header.json").write_text(""),
    "another format": outdated,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entries_are_absent_and_removed(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path, 1 << 20)
    fill(cache, [3, 1, 4])
    cache.close()
    DAMAGE[damage](tmp_path / KEY)
    assert Cache(tmp_path, 1 << 20).get(KEY) is None
    assert not list(tmp_path.iterdir())
    assert len(fill(cache, [3, 1, 4])) == 3


def test_entries_of_another_key_in_the_folder_are_not_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1 << 20)
    fill(cache, [3, 1, 4])
    cache.close()
    os.rename(tmp_path / KEY, tmp_path / ("cd" * 32))
    assert Cache(tmp_path, 1 << 20).get("cd" * 32) is None


def test_the_least_recently_used_goes_first_and_what_is_in_use_never(tmp_path: Path) -> None:
    keys = [letter * 64 for letter in "abc"]
    probe = Cache(tmp_path / "probe", 1 << 20)
    fill(probe, [5] * 40)
    size = probe.num_bytes
    folder = tmp_path / "cache"
    for age, name in enumerate(keys[:2]):
        cache = Cache(folder, 10 * size)
        fill(cache, [5] * 40, key=name)
        cache.close()
        os.utime(folder / name / "header.json", (1000 + age, 1000 + age))
    user = Cache(folder, 10 * size)
    assert user.get(keys[0]) is not None  # used just now, though written first
    fill(Cache(folder, int(2.5 * size)), [5] * 40, key=keys[2])
    assert {path.name for path in folder.iterdir()} == {keys[0], keys[2]}
    os.utime(folder / keys[0] / "header.json", (1, 1))  # the oldest by far, but in use
    with pytest.raises(StorageError, match="are in use"):
        Cache(folder, int(1.5 * size))._make_room(size)
    assert keys[0] in {path.name for path in folder.iterdir()}
    user.close()
    fill(Cache(folder, int(1.5 * size)), [5] * 40, key="d" * 64)
    assert keys[0] not in {path.name for path in folder.iterdir()}


def test_more_than_the_limit_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"the limit is 0\.0 MB"):
        fill(Cache(tmp_path, 100), [5] * 40)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regraft.cache import writer

    class Full(writer.ChunkedFile):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self._file.close()
            self._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - the writer closes it

    monkeypatch.setattr(writer, "ChunkedFile", Full)
    with pytest.raises(StorageError, match="the disk is full"):
        fill(Cache(tmp_path, 1 << 20), [5] * 40)
    assert not list(tmp_path.iterdir())


def test_an_error_while_capturing_passes_and_leaves_nothing(tmp_path: Path) -> None:
    def broken(inputs: object) -> dict[str, Tensor]:
        raise FileNotFoundError("the picture is gone")

    with pytest.raises(FileNotFoundError, match="the picture is gone"):
        Cache(tmp_path, 1 << 20).fill(KEY, [([0], {})], broken, layout=IMAGE, num_rows=1)
    assert not list(tmp_path.iterdir())


def test_a_row_that_never_came_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="1 never came, the first of them row 1"),
        Cache(tmp_path, 1 << 20).writing({KEY: IMAGE}, num_rows=2) as writers,
    ):
        writers[KEY].add([0], {"args.0": torch.zeros(1, 3, 4, 5)})
        writers[KEY].add([0], {"args.0": torch.ones(1, 3, 4, 5)})
        assert writers[KEY].num_written == 1
    assert not list(tmp_path.iterdir())


FILLER = """
import sys, time
sys.path.insert(0, {tests!r})
import torch
from store_rows import KEY, RAGGED, padded, rows_of
from regraft.cache.store import Cache
lengths = [5, 3, 8, 1] * 10
rows = rows_of(lengths)
def slowly(inputs):
    print("batch", flush=True)
    time.sleep({pause})
    return padded(rows, inputs["rows"].numpy())
batches = [(torch.arange(i, i + 4).numpy(), {{"rows": torch.arange(i, i + 4)}}) for i in range(0, 40, 4)]
entries = Cache({folder!r}, 1 << 20).fill(KEY, batches, slowly, layout=RAGGED, num_rows=40, lengths=lengths)
print(entries.batch([2, 3])["args.0"].sum().item(), flush=True)
"""


def start(folder: Path, pause: float) -> subprocess.Popen[str]:
    code = FILLER.format(tests=str(Path(__file__).parent), folder=str(folder), pause=pause)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_two_processes_fill_one_key_at_once(tmp_path: Path) -> None:
    sums = {process.communicate(timeout=280)[0].splitlines()[-1] for process in [start(tmp_path, 0.03), start(tmp_path, 0.03)]}
    assert len(sums) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY]


def test_a_killed_filler_leaves_nothing_visible(tmp_path: Path) -> None:
    process = start(tmp_path, 0.2)
    assert process.stdout is not None and process.stdout.readline() == "batch\n"
    assert Cache(tmp_path, 1 << 20).get(KEY) is None
    assert len(list(tmp_path.iterdir())) == 1, "a running filler's folder is left alone"
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    time.sleep(0.05)
    assert Cache(tmp_path, 1 << 20).get(KEY) is None
    assert not list(tmp_path.iterdir()), "a dead one's is swept"
