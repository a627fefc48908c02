from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineage.making import python, tuned
from regraft.errors import StorageError
from regraft.lineage import Store


def test_a_full_disk_is_said_so_and_the_next_attempt_succeeds():
    code = """
import os, sys
from regraft.lineage import Store, files
from lineage.making import tuned
real = os.fsync
def fsync(descriptor):
    import errno
    raise OSError(errno.ENOSPC, "No space left on device")
store = Store(sys.argv[1])
os.fsync = fsync
try:
    tuned(store, 1.0)
except files.StorageError as error:
    assert "no space left" in str(error) and "regraft gc" in str(error), error
    os.fsync = real
    assert [f for _, _, fs in os.walk(sys.argv[1]) for f in fs] == []
    store.verify(tuned(store, 1.0))
    print("said so")
"""
    assert "said so" in python(code)


@pytest.mark.skipif(os.name != "posix", reason="limits of file size are POSIX's")
def test_a_disk_that_fills_up_in_the_middle_of_a_file_leaves_no_half_of_it(tmp_path):
    code = """
import resource, signal, sys, os
from regraft.errors import StorageError
from regraft.lineage import Store, TensorData
from lineage.making import manifest
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    Store(sys.argv[1]).add(manifest(), {"w": TensorData("uint8", (50_000,), bytes(50_000))}, assets={}, name="big")
except StorageError as error:
    print("no space left" in str(error), [f for _, _, fs in os.walk(sys.argv[1]) for f in fs])
"""
    assert python(code, folder=tmp_path / "store").strip() == "True []"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_store_is_said_so(store):
    tuned(store, 1.0)
    for folder in ("objects", "generations", "names", "."):
        (Path(store.location) / folder).chmod(0o555)
    try:
        with pytest.raises(StorageError, match=r"may not be used so \(Permission denied\)"):
            tuned(store, 2.0)
        assert store.get("tickets")
    finally:
        for folder in (".", "objects", "generations", "names"):
            (Path(store.location) / folder).chmod(0o755)


@pytest.mark.parametrize(
    ("number", "sentence"), [(30, "may not be used so"), (13, "may not be used so"), (122, "no space left"), (5, "the system said")]
)
def test_refusals_of_the_system_are_translated(store, monkeypatch, number, sentence):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match=sentence):
        tuned(store, 1.0)
    assert [path for path in Path(store.location).rglob("*") if path.is_file()] == []


WRITER = """
import sys
from regraft.lineage import Store
from lineage.making import tuned
for turn in range(6):
    tuned(Store(sys.argv[1]), float(turn), name="same", metrics={"writer": sys.argv[2]})
    tuned(Store(sys.argv[1]), float(turn) + 0.25 * int(sys.argv[2]), name="own" + sys.argv[2])
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def test_two_writers_at_once_lose_nothing(store):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, store.location, str(n)], env=environment()) for n in (1, 2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert set(store.names()) == {"same", "own1", "own2"}
    assert len(store.digests()) == 18
    for digest in store.digests():
        store.verify(store.get(digest))
    assert [entry.number for entry in store.history("same")] == list(range(1, len(store.history("same")) + 1))
    assert not list(Path(store.location).rglob(".tmp-*"))


def test_a_writer_killed_at_any_step_leaves_nothing_half_visible(tmp_path):
    code = """
import os, sys
from regraft.lineage import Store
from lineage.making import tuned
countdown = int(sys.argv[2])
for verb in ("replace", "link", "fsync", "unlink"):
    def step(*arguments, real=getattr(os, verb), **more):
        global countdown
        countdown -= 1
        if countdown < 0:
            os._exit(0)
        return real(*arguments, **more)
    setattr(os, verb, step)
tuned(Store(sys.argv[1]), 1.0)
print("ended")
"""
    complete = 0
    for step in range(0, 40, 3):
        folder = tmp_path / str(step)
        ended = "ended" in python(code, str(step), folder=folder)
        store = Store(folder)
        for row in store.log():
            store.verify(store.get(row["digest"]))
        for name in store.names():
            store.verify(store.get(name))
        tuned(store, 1.0)  # whatever was left, the next one succeeds
        store.verify(store.get("tickets"))
        store.gc(dry_run=False, grace_s=-1)
        assert not list(folder.rglob(".tmp-*"))
        if ended:
            complete += 1
            break
    assert complete == 1, "the loop never reached the end of a write"
