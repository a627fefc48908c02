"""Bundles: a generation with its ancestors and its further heads, to be carried to another store, as one file (a zip) or as a folder.

    bundle.json                                what is in it: the generation, its name, its heads by theirs, every file with its size and SHA-256
    generations/ bases/ objects/               as in a store, byte for byte

A folder is read where it lies; a zip is unpacked beside the store first. Everything is verified before the store is touched: what the bundle
lists, then every digest that the manifests record. Then files go in from the bottom up, as in ``Store.add``: whoever is killed in between leaves
whole objects that nobody refers to.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from regraft import digest as hashes
from regraft.errors import DamagedError, LineageError, RequestError
from regraft.lineage import query
from regraft.lineage.files import UNPACKING, storing
from regraft.lineage.heads import heads as further
from regraft.lineage.record import Generation
from regraft.lineage.rows import holders
from regraft.lineage.verify import Verifier

if TYPE_CHECKING:
    from regraft.lineage.store import Store

SCHEMA = 1
CONTENTS = "bundle.json"
PART = ".part"
PIECE_BYTES = 8 << 20
SAFE = re.compile(r"(generations|bases)/[0-9a-f]{64}\.json|objects/[0-9a-f]{64}(\.\w{1,16})?", re.ASCII)
ORDER = ("objects/", "bases/", "generations/")
"""Files that others refer to come first."""


def write(store: Store, reference: str, to: Path) -> dict[str, Any]:
    """Write a generation with its ancestors and its further heads to ``to``: a zip, or a folder where the path has no suffix or is a folder already.

    Everything is verified on the way out. Returns the bundle's contents with ``path`` and ``bytes``. Raises ``RequestError`` where ``to`` is there
    already, ``DamagedError``, ``StorageError``.
    """
    generation = store.get(reference)
    as_folder = not to.suffix or to.is_dir()
    if to.exists() and not (as_folder and to.is_dir() and not any(to.iterdir())):
        raise RequestError(f"write a bundle to {to}", "something is there already", "another path, or remove that first")
    heads = {} if "head" in generation.manifest else further(store, generation)
    for one in (generation, *heads.values()):
        store.verify_lineage(one.digest)
    contents: dict[str, Any] = {"schema": SCHEMA, "kind": "bundle", "generation": generation.digest, "name": generation.name,
                "heads": {one.name: one.digest for one in heads.values()}}  # fmt: skip
    paths = list(_paths(store, [generation, *heads.values()]))
    part = to.with_name(to.name + PART)
    with storing(f"write {to}", str(to.parent)):
        to.parent.mkdir(parents=True, exist_ok=True)
        _discard(part)
        try:
            contents = (_write_folder if as_folder else _write_zip)(store, contents, paths, part)
            if to.is_dir():
                to.rmdir()
            part.rename(to)
        finally:
            _discard(part)
    return {**contents, "path": str(to), "bytes": sum(row["bytes"] for row in contents["files"].values())}


def read(store: Store, source: Path, name: str | None = None) -> dict[str, Generation]:
    """Take the generation of a bundle, with its ancestors and further heads, into the store; returns it first, by the name that it is to have (by
    default its own), then the heads, which are called after it where they were.

    Digests are those of the store it came from. A name that stands at something else than one of its ancestors is not moved: ``LineageError``.
    Raises ``DamagedError`` where anything in the bundle is not what it was when it was written, before the store is touched.
    """
    with _opened(source, store) as (folder, contents):
        bundle = type(store)(folder)
        wanted = name or contents["name"]
        digests = {wanted: contents["generation"]}
        for head, digest in contents.get("heads", {}).items():
            digests[_called(head, contents["name"], wanted)] = digest
        taken = {called: bundle.read("generations", digest) for called, digest in digests.items()}
        for called, generation in taken.items():
            _check_name(store, called, {one.digest for one in query.ancestry(bundle, generation)})
        lineage = list(query.ancestry(bundle, *taken.values()))
        verifier = Verifier(bundle)
        for one in [*bundle.bases().values(), *lineage]:
            verifier.generation(one)
        for path in sorted(contents["files"], key=lambda path: ORDER.index(path.split("/")[0] + "/")):
            _take(store, folder / path, path, contents["files"][path]["digest"])
    for one in reversed(lineage):
        store.verify(one)
    return taken


def _called(head: str, was: str, now: str) -> str:
    """The name of a further head, ``PARENT.TASK`` unless somebody called it otherwise, where its parent is called ``now``."""
    return now + head.removeprefix(was) if head.startswith(f"{was}.") else head


def _paths(store: Store, generations: Sequence[Generation]) -> Iterator[str]:
    """Every file that the generations need, objects first."""
    lineage = list(query.ancestry(store, *generations))
    bases = [store.read("bases", base) for base in dict.fromkeys(one.base for one in lineage if one.base)]
    objects: dict[str, None] = {}
    for one in [*bases, *lineage]:
        objects[one.manifest["tensors"]["object"]] = None
        objects.update(dict.fromkeys(row["object"] for row in one.manifest["assets"].values()))
        objects.update(dict.fromkeys(holder for row in store.table(one).values() for holder in holders(row)))
    yield from (f"objects/{name}" for name in objects)
    yield from (f"bases/{one.digest}.json" for one in bases)
    yield from (f"generations/{one.digest}.json" for one in reversed(lineage))


def _row(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "digest": hashes.of_file(path)}


def _write_folder(store: Store, contents: dict[str, Any], paths: list[str], to: Path) -> dict[str, Any]:
    files = {}
    for path in paths:
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.files.local(path), to / path)
        files[path] = _row(to / path)
    contents = {**contents, "files": files}
    (to / CONTENTS).write_text(json.dumps(contents), encoding="utf-8")
    return contents


def _write_zip(store: Store, contents: dict[str, Any], paths: list[str], to: Path) -> dict[str, Any]:
    """Not compressed: trained weights hardly shrink."""
    contents = {**contents, "files": {path: _row(store.files.local(path)) for path in paths}}
    with zipfile.ZipFile(to, "x", zipfile.ZIP_STORED) as archive:
        archive.writestr(CONTENTS, json.dumps(contents))
        for path in paths:
            archive.write(store.files.local(path), path)
    return contents


@contextmanager
def _opened(source: Path, store: Store) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The bundle as a folder whose files are what its contents say."""
    if source.is_dir():
        yield source, _checked(source, source)
        return
    if not zipfile.is_zipfile(source):
        found = (
            "that is no bundle (a zip or a folder that regraft export --to bundle wrote)" if source.exists() else "no such file or folder"
        )
        raise RequestError(f"import {source}", found, "regraft export NAME --to bundle writes one")
    with TemporaryDirectory(dir=store.files.folder("runs"), prefix=UNPACKING) as unpacked:
        with storing(f"unpack {source}", unpacked):
            _unpack(source, Path(unpacked))
        yield Path(unpacked), _checked(Path(unpacked), source)


def _unpack(source: Path, to: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if entry.filename != CONTENTS and not SAFE.fullmatch(entry.filename):
                    raise RequestError(f"import {source}", f"it holds {entry.filename!r:.80}, which no bundle does", "ask for it again")
                archive.extract(entry, to)
    except (zipfile.BadZipFile, EOFError) as error:
        raise _damaged(source, str(error)) from error


def _checked(folder: Path, source: Path) -> dict[str, Any]:
    """What the bundle says it holds, compared with what it holds."""
    try:
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        files, _, _ = contents["files"], contents["generation"], contents["name"]
    except FileNotFoundError as error:
        raise RequestError(f"import {source}", f"it has no {CONTENTS}", "regraft export NAME --to bundle writes a bundle") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(source, f"{CONTENTS} cannot be read") from error
    if contents["schema"] > SCHEMA:
        raise LineageError(f"import {source}", f"it was written by a newer Regraft (schema {contents['schema']})", "pip install -U regraft")
    bad = [path for path, row in files.items() if not SAFE.fullmatch(path) or not _is(folder / path, row)]
    if bad:
        raise _damaged(source, ", ".join(bad[:3]))
    return contents


def _is(path: Path, row: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == row["bytes"] and hashes.of_file(path) == row["digest"]


def _take(store: Store, source: Path, path: str, digest: str) -> None:
    """Copy one file into the store, unless its very bytes are there."""
    if store.files.exists(path) and hashes.of_file(store.files.local(path)) == digest:
        store.files.touch(path)
        return
    with source.open("rb") as file:
        store.files.write(path, iter(lambda: file.read(PIECE_BYTES), b""))


def _check_name(store: Store, name: str, ancestors: set[str]) -> None:
    query.check_name(name)
    stands = store.names().get(name)
    if stands and stands not in ancestors:
        raise LineageError(
            f"import as {name!r}", f"{name!r} stands at {stands[:12]}, which is no ancestor of it", "give it another name: --name"
        )
    if name in store.tags():
        raise LineageError(f"import as {name!r}", f"{name!r} is a tag", "give it another name: --name")


def _damaged(source: Path, what: str) -> DamagedError:
    return DamagedError(f"import {source}", f"damaged: {what}", "copy it again, or export it anew")


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
