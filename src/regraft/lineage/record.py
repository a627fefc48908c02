"""A generation as a record: what its manifest says, and the digest that names it.

manifest                                in the digest?
schema kind name created digest         no: what the store writes
task model classes edits source         yes
plan                                    yes, but for its reasons, warnings, cost and data, and which phases were computed live
data.fingerprint                        yes; the rest of ``data`` no (paths and dates differ between machines)
parent parents head base, tensors       yes
metrics cost environment and the rest   no: measured, so they may differ between two equal runs
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft import digest
from regraft.errors import DamagedError, LineageError

SCHEMA = 1
STABLE = ("task", "model", "classes", "edits", "source", "parent", "base")
NOT_INTENT = ("reasons", "warnings", "cost", "data")
OPENING, CLOSING = b'{"checksum": "', b'", '


@dataclass(frozen=True, slots=True)
class Generation:
    """An immutable result. ``manifest`` is the JSON document on the disk; do not change it."""

    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        return self.manifest["digest"]

    @property
    def name(self) -> str:
        """The name it was made under; names may have moved on since (``Store.names``)."""
        return self.manifest["name"]

    @property
    def parent(self) -> str | None:
        """What it was made from; of a merge, the first of its parents."""
        return self.manifest["parent"]

    @property
    def parents(self) -> tuple[str, ...]:
        """All that it was made from: none, one, or those of a merge."""
        return tuple(self.manifest.get("parents") or ([self.parent] if self.parent else []))

    @property
    def base(self) -> str | None:
        return self.manifest["base"]

    @property
    def created(self) -> str:
        return self.manifest["created"]

    @property
    def stored_bytes(self) -> int:
        """What this generation added to the store: tensors and assets that were not there before."""
        return self.manifest["stored_bytes"]

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:12]}"


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: mappings and sequences copied, numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise LineageError(
        "write a manifest", f"{type(value).__name__} {value!r:.60} is not JSON", "hand in numbers, texts, lists and mappings"
    )


def digest_of(manifest: Mapping[str, Any], tensors: Mapping[str, str]) -> str:
    """The name of a generation (or base): equal for equal plan, data, classes, parent and tensors (name -> digest)."""
    plan = _intent(manifest.get("plan") or {})
    fingerprint = (manifest.get("data") or {}).get("fingerprint")
    stable = {key: manifest.get(key) for key in STABLE}
    if several := manifest.get("parents"):
        stable["parents"] = list(several)
    if head := manifest.get("head"):
        stable["head"] = dict(head)
    return digest.of_json({"schema": SCHEMA, **stable, "plan": plan, "data": fingerprint, "tensors": dict(tensors)})


def _intent(plan: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in plan.items() if key not in NOT_INTENT}
    if "phases" in kept:
        kept["phases"] = [{key: value for key, value in phase.items() if key != "live"} for phase in kept["phases"]]
    return kept


def written(manifest: dict[str, Any]) -> bytes:
    """The bytes of a manifest file: JSON whose first key is a checksum over all the bytes after it."""
    body = json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode()[1:]
    return OPENING + digest.of_bytes(body).encode() + CLOSING + body


def read(data: bytes, path: str) -> dict[str, Any]:
    """The manifest in ``data``. Raises ``DamagedError`` where it is not what was written."""
    start = len(OPENING) + 64
    body = data[start + len(CLOSING) :]
    sound = data[:start] == OPENING + digest.of_bytes(body).encode() and data[start : start + len(CLOSING)] == CLOSING
    manifest = json.loads(b"{" + body) if sound else {}
    if not sound or not path.endswith(f"/{manifest['digest']}.json"):
        raise DamagedError(f"read {path}", "its content does not match its checksum", "restore the store from a backup, or tune again")
    if manifest["schema"] > SCHEMA:
        raise LineageError(f"read {path}", f"it was written by a newer Regraft (schema {manifest['schema']})", "pip install -U regraft")
    return manifest
