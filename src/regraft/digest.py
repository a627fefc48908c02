"""Content hashes: one canonical form for JSON, bytes and files, so that equal things have equal names everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


def canonical_json(document: Any) -> bytes:
    """The one byte form of a JSON document: sorted keys, no spaces, UTF-8; NaN and infinities are refused."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def of_bytes(*parts: bytes | bytearray | memoryview) -> str:
    """SHA-256 in hex of the parts, each preceded by its length, so that ("ab", "c") and ("a", "bc") differ."""
    hasher = hashlib.sha256()
    for part in parts:
        view = memoryview(part).cast("B")
        hasher.update(view.nbytes.to_bytes(8, "little"))
        hasher.update(view)
    return hasher.hexdigest()


def of_text(text: str) -> str:
    """``of_bytes`` of the text in UTF-8, for the many short ones."""
    data = text.encode()
    return hashlib.sha256(len(data).to_bytes(8, "little") + data).hexdigest()


def of_pieces(pieces: Iterable[bytes], size: int) -> str:
    """``of_bytes`` of one part of ``size`` bytes, which comes in pieces."""
    hasher = hashlib.sha256(size.to_bytes(8, "little"))
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


def of_json(document: Any) -> str:
    return of_bytes(canonical_json(document))


def of_file(path: Path) -> str:
    """SHA-256 in hex of a file's bytes, read in pieces."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def of_digests(digests: Iterable[str]) -> str:
    """One digest for an ordered list of digests."""
    return of_bytes("\n".join(digests).encode())
