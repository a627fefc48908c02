from __future__ import annotations

from pathlib import Path

import pytest

from lineage.making import model, tuned
from regraft.errors import LineageError


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
