"""The store: a folder of generations that share what did not change.

    generations/<digest>.json     a manifest; a generation exists from the moment this file does
    bases/<digest>.json           the same for pretrained weights
    objects/<digest>.safetensors  tensors, objects/<digest>.<suffix>: tensor tables and assets; named by content, never changed
    names/ tags/                  pointers that move (``journal.py``)
    runs/ cache/                  work in progress; nothing here is needed to read a generation

Writing goes from the bottom up: objects, then the manifest, then the name. Whoever is killed in between leaves whole objects that nobody
refers to, which the next attempt finds and uses, or ``gc`` sweeps.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from regraft import digest as hashes
from regraft.errors import DamagedError, LineageError
from regraft.lineage import query, record, sweep
from regraft.lineage import table as tables
from regraft.lineage import tensors as tensor_files
from regraft.lineage.files import Bytes
from regraft.lineage.journal import Entry, Journal
from regraft.lineage.location import opened
from regraft.lineage.record import Generation
from regraft.lineage.rows import Table
from regraft.lineage.tensors import TensorData
from regraft.lineage.verify import MEND, Verifier, damage, whole

FOLDER = ".regraft"
ENVIRONMENT = "REGRAFT_STORE"
SUFFIX = re.compile(r"\.\w{1,16}", re.ASCII)


class Store:
    """The lineage of one project. ``path``: a folder or any fsspec URL; nothing is made before the first write."""

    def __init__(self, path: str | Path) -> None:
        self.files = opened(path)
        self._names = Journal(self.files, "names")
        self._tags = Journal(self.files, "tags")

    @classmethod
    def locate(cls, given: str | Path | None = None) -> Store:
        """``given``, else ``$REGRAFT_STORE``, else the nearest ``.regraft/`` upward from here, else ``./.regraft/``."""
        if where := given or os.environ.get(ENVIRONMENT):
            return cls(where)
        here = Path.cwd()
        found = (folder / FOLDER for folder in (here, *here.parents) if (folder / FOLDER).is_dir())
        return cls(next(found, here / FOLDER))

    @property
    def location(self) -> str:
        return self.files.root

    # ---- writing

    def add(
        self, manifest: Mapping[str, Any], tensors: Mapping[str, TensorData], *,
        assets: Mapping[str, bytes], name: str, parent: str | Sequence[str] | None = None,
    ) -> Generation:  # fmt: skip
        """Store a generation and move ``name`` to it. ``parent``: any reference that ``get`` understands; several of them for a merge.

        ``manifest["base"]`` may give the digest of ``add_base``. Only tensors are written that neither the base nor an ancestor (with its
        bases) holds. Equal plan, data, classes, parent and tensors give the digest of the generation that is there already, which is then
        left as it is and returned. Raises ``StorageError``; ``LineageError`` for an impossible name, parent or base.
        """
        query.check_name(name)
        parents = [self.get(one).digest for one in ([parent] if isinstance(parent, str) else parent or ())]
        if (base := manifest.get("base")) and not self.has_base(base):
            raise LineageError(f"base {base!r}", "the store holds no such base", "store the pretrained weights first: store.add_base(...)")
        document = {**manifest, "kind": "generation", "name": name, "parent": next(iter(parents), None), "base": base}
        if len(parents) > 1:
            document["parents"] = parents
        self._renew(*(f"generations/{one}.json" for one in parents), *([f"bases/{base}.json"] if base else []))
        stored = self._put("generations", document, tensors, assets)
        self._names.point(name, stored["digest"], "add")
        return Generation(stored)

    def add_base(
        self, manifest: Mapping[str, Any], tensors: Mapping[str, TensorData], assets: Mapping[str, bytes], *, digest: str | None = None
    ) -> str:
        """Store pretrained weights once, for all generations to share; returns their digest. Storing them again changes nothing, and is free
        where the ``digest`` of the first time is given: then ``tensors`` is not even looked at."""
        if digest and self.has_base(digest):
            self._renew(f"bases/{digest}.json")
            return digest
        document = {"name": manifest.get("reference", ""), **manifest, "kind": "base", "parent": None, "base": None}
        return self._put("bases", document, tensors, assets)["digest"]

    def tag(self, reference: str, tag: str) -> Generation:
        """Give a generation a tag; a tag that stands elsewhere moves."""
        query.check_name(tag)
        if tag in self._names.all():
            raise LineageError(f"tag {tag!r}", f"{tag!r} is already the name of a model", "choose another word for the tag")
        generation = self.get(reference)
        self._tags.point(tag, generation.digest, "tag")
        return generation

    def untag(self, tag: str) -> None:
        query.require(tag, self.tags(), "tag")
        self._tags.remove(tag)

    def forget(self, name: str) -> None:
        """Remove a name and its history; generations that nothing else needs become ``gc``'s."""
        query.require(name, self.names(), "name")
        self._names.remove(name)

    def rollback(self, name: str, to: str | None = None) -> Generation:
        """Move a name one step back, or ``to`` any generation that it has pointed at; nothing is lost, so this too can be taken back."""
        query.require(name, self.names(), "name")
        entry = self._names.back(name, 1) if to is None else self._entry_at(name, self.get(to).digest)
        if entry is None:
            past = dict.fromkeys(e.generation[:12] for e in self._names.history(name) if e.generation)
            asked = f"rollback of {name!r}" + (f" to {to!r}" if to else "")
            raise LineageError(asked, f"{name!r} has only pointed at: {', '.join(past)}", f"regraft rollback {name} --to one of these")
        generation = self.get(entry.generation or "")
        self._names.return_to(name, entry)
        return generation

    def export(self, reference: str, to: Path) -> dict[str, Any]:
        """Write a generation with its ancestors and its further heads as a bundle, one file or a folder (``bundle.write``)."""
        from regraft.lineage import bundle  # zip files are not needed to read history

        return bundle.write(self, reference, to)

    def take(self, source: Path, name: str | None = None) -> Generation:
        """Take in the generation of a bundle, verified first, and move ``name`` to it, and the names of its further heads (``bundle.read``)."""
        from regraft.lineage import bundle

        taken = bundle.read(self, source, name)
        for wanted, generation in taken.items():
            self._names.point(wanted, generation.digest, "import")
        return next(iter(taken.values()))

    # ---- reading

    def get(self, reference: str) -> Generation:
        """The generation that a name, a tag, a digest (four characters or more) or ``name~1`` means (for names: one step back in their
        history; for tags and digests: the parent). Raises ``LineageError`` with the nearest spelling, ``DamagedError``."""
        return query.resolve(self, reference)

    def names(self) -> dict[str, str]:
        """Name -> digest of the generation it stands at."""
        return self._names.all()

    def tags(self) -> dict[str, str]:
        return self._tags.all()

    def history(self, name: str) -> list[Entry]:
        """Every move of a name, oldest first."""
        return self._names.history(name)

    def step_back(self, name: str, steps: int) -> Entry | None:
        """Where a name stood ``steps`` back from where it stands."""
        return self._names.back(name, steps)

    def digests(self) -> list[str]:
        """Every generation, in no meaningful order."""
        return self._stored("generations")

    def bases(self) -> dict[str, Generation]:
        return {key: self.read("bases", key) for key in self._stored("bases")}

    def has_base(self, digest: str) -> bool:
        return self.files.exists(f"bases/{digest}.json")

    def log(self) -> list[dict[str, Any]]:
        """One row for each generation, newest first: the keys of the ``log`` document, and ``names`` that stand there now."""
        return query.log(self)

    def lineage(self, reference: str) -> list[Generation]:
        """The generation and its ancestors, nearest first; those of a merge along all of its parents."""
        return list(query.ancestry(self, self.get(reference)))

    def tensor_files(self, generation: Generation, verify: bool = True) -> dict[str, tables.Place]:
        """Tensor name -> (safetensors file, key in it); of a tensor that is stored as a difference, what unpacks it. With ``verify`` all stored bytes
        are compared with their digests first: ``DamagedError`` names those that differ."""
        rows = self.table(generation)
        if verify and (broken := Verifier(self).tensors(rows)):
            raise damage(self.location, generation, [f"tensor {name}" for name in broken])
        return tables.places(self, rows)

    def asset_files(self, generation: Generation) -> dict[str, Path]:
        """Asset name -> file with its content, compared with its digest first."""
        self.assets(generation)
        return {name: self.local(row["object"]) for name, row in generation.manifest["assets"].items()}

    def assets(self, generation: Generation) -> dict[str, bytes]:
        """Asset name -> content, compared with its digest."""
        return {name: self.asset(generation, name) for name in generation.manifest["assets"]}

    def asset(self, generation: Generation, name: str) -> bytes:
        row = generation.manifest["assets"][name]
        return self.object(row["object"], row["digest"], name)

    def table(self, generation: Generation) -> Table:
        """Where each tensor of the generation lies, and its digest."""
        row = generation.manifest["tensors"]
        return json.loads(self.object(row["object"], row["digest"], "the table of tensors"))

    def verify(self, generation: Generation) -> None:
        """Recompute every digest: manifest, tensors, assets. Raises ``DamagedError`` that names everything damaged."""
        Verifier(self).generation(generation)

    def verify_lineage(self, reference: str) -> dict[str, int]:
        """The same for a generation, all its ancestors and their bases; returns what was compared (``verify.whole``)."""
        return whole(self, reference)

    def read(self, folder: str, digest: str) -> Generation:
        path = f"{folder}/{digest}.json"
        try:
            return Generation(record.read(self.files.read(path), path))
        except FileNotFoundError as error:
            raise LineageError(f"generation {digest[:12]}", "the store no longer holds it", "regraft log shows what is there") from error

    # ---- beside the lineage

    def run_folder(self, name: str) -> Path:
        """For checkpoints, history and report of a run of that name; made if need be, on this machine."""
        query.check_name(name)
        return self.files.folder(f"runs/{name}")

    @property
    def cache_folder(self) -> Path:
        return self.files.folder("cache")

    def gc(
        self, *, dry_run: bool = True, keep: int | None = None, forget: Collection[str] = (), grace_s: float = sweep.GRACE_S
    ) -> dict[str, Any]:
        """What nothing needs any more (``sweep.py``), once the names in ``forget`` are gone; removed unless ``dry_run``."""
        return sweep.sweep(self, dry_run=dry_run, keep=keep, grace_s=grace_s, forget=forget)

    # ---- inside

    def _stored(self, folder: str) -> list[str]:
        return [file[:-5] for file in self.files.names(folder) if len(file) == 69 and file.endswith(".json")]

    def _put(self, folder: str, document: dict[str, Any], tensors: Mapping[str, TensorData], assets: Mapping[str, bytes]) -> dict[str, Any]:
        document = record.plain(document)
        tensors = {name: TensorData(*tensor) for name, tensor in tensors.items()}
        digests = {name: tensor.digest for name, tensor in tensors.items()}
        name = record.digest_of(document, digests)
        path = f"{folder}/{name}.json"
        if self._is_sound(folder, name):
            self._renew(path)
            return self.read(folder, name).manifest
        held = tables.Held.by(self, document)
        table, tensor_bytes = tables.put(self, tensors, digests, held, packs=document["kind"] == "generation")
        table_row, table_bytes = self._put_object(hashes.canonical_json(table), ".json")
        rows = {asset: self._put_object(data, PurePosixPath(asset).suffix) for asset, data in sorted(assets.items())}
        manifest = {
            **document,
            "created": datetime.now(UTC).isoformat(timespec="microseconds"),
            "schema": record.SCHEMA,
            "digest": name,
            "tensors": {**table_row, "count": len(table), "total_bytes": tensor_files.total_bytes(tensors.values())},
            "assets": {asset: row for asset, (row, _) in rows.items()},
            "stored_bytes": tensor_bytes + table_bytes + sum(size for _, size in rows.values()),
        }
        self.files.write(path, [record.written(manifest)])
        return manifest

    def _is_sound(self, folder: str, digest: str) -> bool:
        """Is the whole of it there already, undamaged? A damaged one is written again, which mends it."""
        try:
            self.verify(self.read(folder, digest))
        except (LineageError, DamagedError):
            return False
        return True

    def _put_object(self, data: Bytes, suffix: str) -> tuple[dict[str, Any], int]:
        """Returns what a manifest says of the object, and the bytes that it added."""
        value = hashes.of_bytes(data)
        name = value + (suffix if SUFFIX.fullmatch(suffix) else "")
        row = {"object": name, "digest": value, "bytes": len(data)}
        if self.reuse(name) and hashes.of_bytes(self.files.read(f"objects/{name}")) == value:
            return row, 0
        self.files.write(f"objects/{name}", [data])
        return row, len(data)

    def reuse(self, name: str) -> bool:
        """Is the object there? If so it counts as new again, so that no ``gc`` takes it before the manifest is written."""
        self._renew(f"objects/{name}")
        return self.files.exists(f"objects/{name}")

    def _renew(self, *paths: str) -> None:
        """What somebody is about to rely on counts as new, and a ``gc`` elsewhere lets it stand."""
        for path in paths:
            self.files.touch(path)

    def object(self, name: str, digest: str, what: str) -> bytes:
        """The content of a file of ``objects/``, compared with its digest; ``what`` names it in the error."""
        try:
            data = self.files.read(f"objects/{name}")
        except FileNotFoundError:
            data = None
        if data is None or hashes.of_bytes(data) != digest:
            found = "it is missing" if data is None else "its content does not match its digest"
            raise DamagedError(f"read {what} (objects/{name})", found, MEND)
        return data

    def local(self, name: str) -> Path:
        """A file on this machine with the content of a file of ``objects/``."""
        try:
            return self.files.local(f"objects/{name}")
        except FileNotFoundError as error:
            raise DamagedError(f"read objects/{name}", "it is missing", MEND) from error

    def _entry_at(self, name: str, digest: str) -> Entry | None:
        return next((entry for entry in reversed(self._names.history(name)) if entry.generation == digest), None)
