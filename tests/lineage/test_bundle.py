from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from lineage.making import manifest, model, objects, python, tuned
from regraft.errors import DamagedError, LineageError, RequestError
from regraft.lineage import Store


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


@pytest.fixture
def family(store: Store):
    """A base, two parents and a merge of both, and a bystander."""
    base = store.add_base({"reference": "r"}, model(), {"config.json": b"{}"})
    tuned(store, 1.0, name="a", base=base)
    tuned(store, 2.0, name="b", base=base)
    tuned(store, 9.0, name="bystander")
    return tuned(store, 1.5, name="merged", parent=["a", "b"], base=base)


@pytest.mark.parametrize("path", ["it.zip", "folder"])
def test_a_bundle_brings_the_whole_lineage_and_keeps_its_digests(store, other, family, tmp_path, path):
    written = store.export("merged", tmp_path / path)
    assert written["generation"] == family.digest and written["bytes"] > 0
    taken = other.take(tmp_path / path)
    assert (taken, other.names()) == (family, {"merged": family.digest})
    assert {one.digest for one in other.lineage("merged")} == {one.digest for one in store.lineage("merged")}
    assert len(other.digests()) == 3 and set(other.bases()) == set(store.bases())
    assert other.verify_lineage("merged") == store.verify_lineage("merged")
    assert other.table(taken) == store.table(family)
    assert list(other.files.names("runs")) == []


def test_importing_again_changes_nothing_and_another_name_may_be_given(store, other, family, tmp_path):
    store.export("merged", tmp_path / "it.zip")
    other.take(tmp_path / "it.zip", "theirs")
    before = {path: path.stat().st_ino for path in objects(other)}
    other.take(tmp_path / "it.zip", "theirs")
    assert {path: path.stat().st_ino for path in objects(other)} == before
    assert set(other.names()) == {"theirs"} and len(other.history("theirs")) == 1


def test_a_name_that_stands_elsewhere_is_not_moved(store, other, family, tmp_path):
    store.export("merged", tmp_path / "it.zip")
    mine = tuned(other, 5.0, name="merged")
    with pytest.raises(
        LineageError, match=f"'merged' stands at {mine.digest[:12]}, which is no ancestor of it\ntry:   give it another name: --name"
    ):
        other.take(tmp_path / "it.zip")
    assert other.digests() == [mine.digest]


def test_a_name_at_an_ancestor_moves_on_and_can_go_back(store, other, tmp_path):
    first = tuned(store, 1.0)
    store.export("tickets", tmp_path / "one.zip")
    second = tuned(store, 2.0, parent="tickets")
    store.export("tickets", tmp_path / "two.zip")
    other.take(tmp_path / "one.zip")
    assert other.take(tmp_path / "two.zip") == second == other.get("tickets")
    assert other.rollback("tickets") == first


@pytest.mark.parametrize("which", ["objects", "generations", "bases"])
def test_a_damaged_bundle_is_refused_and_the_store_stays_as_it_was(store, other, family, tmp_path, which):
    store.export("merged", tmp_path / "bundle")
    path = sorted((tmp_path / "bundle" / which).iterdir())[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=f"damaged: {which}/.*\ntry:   copy it again"):
        other.take(tmp_path / "bundle")
    assert not Path(other.location).exists()


def test_a_bundle_with_forged_contents_is_still_refused(store, other, family, tmp_path):
    from regraft.digest import of_file

    store.export("merged", tmp_path / "bundle")
    path = next((tmp_path / "bundle" / "objects").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    contents = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    contents["files"][f"objects/{path.name}"]["digest"] = of_file(path)
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(contents))
    with pytest.raises(DamagedError, match="damaged: tensor"):
        other.take(tmp_path / "bundle")
    assert not Path(other.location).exists()


def test_a_cut_off_file_and_a_foreign_one_are_refused(store, other, family, tmp_path):
    store.export("merged", tmp_path / "it.zip")
    data = (tmp_path / "it.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(RequestError, match="that is no bundle"):
        other.take(tmp_path / "cut.zip")
    with pytest.raises(RequestError, match="no such file or folder"):
        other.take(tmp_path / "nothing.zip")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../outside.txt", "x")
    with pytest.raises(RequestError, match="which no bundle does"):
        other.take(tmp_path / "evil.zip")
    assert not (tmp_path / "outside.txt").exists()
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("objects/" + "0" * 64, "x")
    with pytest.raises(RequestError, match=r"it has no bundle\.json"):
        other.take(tmp_path / "other.zip")


def test_nothing_is_overwritten_by_an_export(store, family, tmp_path):
    (tmp_path / "it.zip").write_bytes(b"mine")
    with pytest.raises(RequestError, match="something is there already"):
        store.export("merged", tmp_path / "it.zip")
    assert (tmp_path / "it.zip").read_bytes() == b"mine"


def test_a_damaged_store_writes_no_bundle(store, family, tmp_path):
    objects(store)[0].write_bytes(b"")
    with pytest.raises(DamagedError, match="damaged: tensor"):
        store.export("merged", tmp_path / "it.zip")
    assert not list(tmp_path.glob("it*"))


def test_an_import_mends_what_is_damaged_here(store, other, family, tmp_path):
    store.export("merged", tmp_path / "it.zip")
    other.take(tmp_path / "it.zip")
    objects(other)[0].write_bytes(b"")
    other.take(tmp_path / "it.zip")
    other.verify_lineage("merged")


KILLED = """
import os, sys
from pathlib import Path
from regraft.lineage import Store
countdown = int(sys.argv[3])
for verb in ("replace", "link", "fsync", "unlink"):
    def step(*arguments, real=getattr(os, verb), **more):
        global countdown
        countdown -= 1
        if countdown < 0:
            os._exit(0)
        return real(*arguments, **more)
    setattr(os, verb, step)
Store(sys.argv[1]).take(Path(sys.argv[2]))
print("ended")
"""


def test_an_import_killed_at_any_step_leaves_nothing_half_visible(store, family, tmp_path):
    store.export("merged", tmp_path / "it.zip")
    ended = False
    for step in range(0, 90, 13):
        folder = tmp_path / f"killed{step}"
        ended = "ended" in python(KILLED, str(tmp_path / "it.zip"), str(step), folder=folder)
        left = Store(folder)
        for digest in left.digests():
            left.verify(left.get(digest))
        for name in left.names():
            left.verify_lineage(name)
        left.gc(dry_run=False, grace_s=-1)
        assert not [path for path in folder.rglob("*") if path.is_file() and (".tmp-" in path.name or ".import-" in str(path))]
        left.take(tmp_path / "it.zip")
        left.verify_lineage("merged")
        if ended:
            break
    assert ended, "the loop never reached the end of an import"


def test_two_imports_and_a_writer_at_once_lose_nothing(store, family, tmp_path):
    import subprocess
    import sys

    from lineage.test_writers import WRITER, environment

    store.export("merged", tmp_path / "it.zip")
    code = (
        "import sys; from pathlib import Path; from regraft.lineage import Store\nStore(sys.argv[1]).take(Path(sys.argv[2]), sys.argv[3])"
    )
    where = str(tmp_path / "shared")
    commands = [[code, where, str(tmp_path / "it.zip"), "one"], [code, where, str(tmp_path / "it.zip"), "two"], [WRITER, where, "3"]]
    running = [subprocess.Popen([sys.executable, "-c", *command], env=environment()) for command in commands]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    shared = Store(where)
    assert set(shared.names()) == {"one", "two", "same", "own3"}
    for digest in shared.digests():
        shared.verify(shared.get(digest))


def test_further_heads_go_along_and_are_called_after_their_trunk(store, other, tmp_path):
    from regraft.lineage.heads import heads

    trunk = tuned(store, 1.0)
    head = store.add(manifest(head={"name": "mood", "of": trunk.digest}), model(7.0), assets={}, name="tickets.mood", parent="tickets")
    named = store.add(manifest(head={"name": "topic", "of": trunk.digest}), model(8.0), assets={}, name="topics", parent="tickets")
    written = store.export("tickets", tmp_path / "it.zip")
    assert written["heads"] == {"tickets.mood": head.digest, "topics": named.digest}
    taken = other.take(tmp_path / "it.zip", "mine")
    assert other.names() == {"mine": trunk.digest, "mine.mood": head.digest, "topics": named.digest}
    assert {name: one.digest for name, one in heads(other, taken).items()} == {"mood": head.digest, "topic": named.digest}
    other.verify_lineage("topics")
    assert store.export("topics", tmp_path / "one.zip")["heads"] == {}, "a head alone takes no other along"


def test_a_head_whose_name_stands_elsewhere_stops_the_import(store, other, tmp_path):
    trunk = tuned(store, 1.0)
    store.add(manifest(head={"name": "mood", "of": trunk.digest}), model(7.0), assets={}, name="moods", parent="tickets")
    store.export("tickets", tmp_path / "it.zip")
    mine = tuned(other, 5.0, name="moods")
    with pytest.raises(LineageError, match="'moods' stands at"):
        other.take(tmp_path / "it.zip")
    assert other.digests() == [mine.digest]
