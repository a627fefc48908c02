from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lineage.making import model, python, tuned
from lineage.test_writers import WRITER, environment
from regraft.errors import DamagedError, LineageError
from regraft.lineage import Store


def test_a_sound_store_has_nothing_to_sweep(store):
    base = store.add_base({"reference": "r"}, model(), {"config.json": b"{}"})
    tuned(store, 1.0, base=base)
    tuned(store, 2.0, parent="tickets")
    kept = sum(path.stat().st_size for path in Path(store.location).rglob("*") if path.is_file())
    assert store.gc(dry_run=False, grace_s=-1) == {
        "dry_run": False,
        "leftovers": [],
        "unreachable": [],
        "freed_bytes": 0,
        "kept_bytes": kept,
    }
    store.verify(store.get("tickets"))


def test_leftovers_are_listed_first_and_removed_when_asked(store):
    tuned(store, 1.0)
    left = Path(store.location) / "objects" / ".tmp-123-abc"
    left.write_bytes(b"12345")
    orphan = Path(store.location) / "objects" / f"{'0' * 64}.safetensors"
    orphan.write_bytes(b"123")
    found = store.gc(grace_s=-1)
    assert (found["leftovers"], found["unreachable"], found["freed_bytes"]) == (["objects/.tmp-123-abc"], [f"objects/{orphan.name}"], 8)
    assert left.exists()
    assert store.gc(dry_run=False)["freed_bytes"] == 0, "another process may be about to use what is this young"
    store.gc(dry_run=False, grace_s=-1)
    assert not left.exists() and not orphan.exists()
    store.verify(store.get("tickets"))


def test_a_forgotten_name_frees_what_nothing_else_needs(store):
    kept = tuned(store, 1.0, name="kept")
    gone = tuned(store, 2.0, name="gone", parent="kept", edits=["other"])
    store.forget("gone")
    assert "gone" not in store.names()
    swept = store.gc(dry_run=False, grace_s=-1)
    assert f"generations/{gone.digest}.json" in swept["unreachable"]
    assert store.digests() == [kept.digest]
    store.verify(kept)
    with pytest.raises(LineageError, match="no name, tag or digest"):
        store.get(gone.digest)


def test_the_tensors_that_a_child_shares_outlive_nothing_but_their_need(store):
    base = store.add_base({"reference": "r"}, model(), {})
    tuned(store, 1.0, name="a", base=base)
    child = tuned(store, 2.0, name="b", parent="a")
    store.forget("a")
    store.gc(dry_run=False, grace_s=-1)
    store.verify(child)
    store.forget("b")
    store.gc(dry_run=False, grace_s=-1)
    assert not store.digests() and not store.bases()
    assert not list((Path(store.location) / "objects").iterdir())


def test_old_steps_of_a_name_go_where_only_some_are_kept(store):
    first, second, third = (tuned(store, head) for head in (1.0, 2.0, 3.0))
    store.tag(first.digest, "release")
    store.gc(dry_run=False, keep=1, grace_s=-1)
    assert set(store.digests()) == {first.digest, third.digest}
    with pytest.raises(LineageError, match="the store no longer holds it"):
        store.get("tickets~1")
    assert second.digest not in store.digests()


def test_a_merge_needs_all_of_its_parents(store):
    for number, name in enumerate("abc"):
        tuned(store, float(number), name=name)
    merged = tuned(store, 9.0, name="merged", parent=["a", "b"])
    store.gc(dry_run=False, forget=["a", "b", "c"], grace_s=-1)
    assert set(store.digests()) == {merged.digest, *merged.parents} and len(merged.parents) == 2
    store.verify_lineage("merged")


def test_what_would_be_forgotten_is_only_listed_in_a_dry_run(store):
    gone = tuned(store, 1.0, name="gone")
    found = store.gc(forget=["gone"], grace_s=-1)
    assert f"generations/{gone.digest}.json" in found["unreachable"] and store.names() == {"gone": gone.digest}
    with pytest.raises(LineageError, match="did you mean 'gone'"):
        store.gc(forget=["gon"])


def test_bytes_freed_and_kept_are_those_of_the_disk(store):
    def size() -> int:
        return sum(path.stat().st_size for path in Path(store.location).rglob("*") if path.is_file())

    tuned(store, 1.0, name="kept")
    tuned(store, 2.0, name="gone", edits=["other"])
    store.forget("gone")
    listed, before = store.gc(grace_s=-1), size()
    assert listed["kept_bytes"] + listed["freed_bytes"] == before
    done = store.gc(dry_run=False, grace_s=-1)
    assert (done["freed_bytes"], done["kept_bytes"]) == (listed["freed_bytes"], size())


def test_nothing_goes_where_a_needed_manifest_is_damaged(store):
    generation = tuned(store, 1.0)
    tuned(store, 2.0, name="gone")
    (Path(store.location) / "generations" / f"{generation.digest}.json").write_bytes(b"{}")
    files = {path for path in Path(store.location).rglob("*") if path.is_file()}
    with pytest.raises(DamagedError, match="does not match its checksum"):
        store.gc(dry_run=False, grace_s=-1)
    assert {path for path in Path(store.location).rglob("*") if path.is_file()} == files


def test_a_base_and_a_parent_that_a_writer_relies_on_again_stay(store):
    base = store.add_base({"reference": "r"}, model(), {})
    parent = tuned(store, 1.0, name="parent", base=base)
    store.forget("parent")
    for path in Path(store.location).rglob("*"):
        os.utime(path, (0, 0))
    store.add_base({"reference": "r"}, model(), {}, digest=base)
    store.gc(dry_run=False)
    assert set(store.bases()) == {base} and store.digests() == []
    store.verify(store.bases()[base])
    parent = tuned(store, 1.0, name="parent", base=base)
    store.forget("parent")
    for path in Path(store.location).rglob("*"):
        os.utime(path, (0, 0))
    child = tuned(store, 2.0, name="child", parent=parent.digest, base=base)
    store.forget("child")
    store.gc(dry_run=False)
    assert set(store.digests()) == {parent.digest, child.digest}


SWEEPER = """
import sys
from regraft.lineage import Store
for turn in range(30):
    Store(sys.argv[1]).gc(dry_run=False)
"""


def test_writers_and_sweepers_at_once_lose_nothing(store):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, store.location, str(n)], env=environment()) for n in (1, 2)]
    sweepers = [subprocess.Popen([sys.executable, "-c", SWEEPER, store.location], env=environment()) for _ in range(2)]
    assert [one.wait(60) for one in [*writers, *sweepers]] == [0, 0, 0, 0]
    for digest in store.digests():
        store.verify_lineage(digest)
    assert len(store.digests()) == 18


def test_a_sweep_killed_at_any_step_leaves_what_is_needed(store, tmp_path):
    kept = tuned(store, 1.0, name="kept")
    for number in range(3):
        tuned(store, 2.0 + number, name="gone", parent=kept.digest)
    code = """
import os, sys
from regraft.lineage import Store
from pathlib import Path
countdown = int(sys.argv[2])
def unlink(self, missing_ok=False, real=Path.unlink):
    global countdown
    countdown -= 1
    if countdown < 0:
        os._exit(0)
    return real(self, missing_ok=missing_ok)
Path.unlink = unlink
Store(sys.argv[1]).gc(dry_run=False, forget=["gone"], grace_s=-1)
"""
    for step in (0, 2, 5, 9):
        folder = tmp_path / f"s{step}"
        shutil.copytree(store.location, folder)
        python(code, str(step), folder=folder)
        left = Store(folder)
        for digest in left.digests():
            left.verify(left.get(digest))
        left.gc(dry_run=False, grace_s=-1)
        left.verify_lineage("kept")
