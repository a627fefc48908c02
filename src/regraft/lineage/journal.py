"""Names and tags: pointers that move, each kept as a journal that only grows.

    names/tickets/000001.json   {"generation": "9f2c...", "previous": 0, "why": "add", "time": ...}
    names/tickets/000002.json   {"generation": "41aa...", "previous": 1, "why": "add", ...}
    names/tickets/000003.json   {"generation": "9f2c...", "previous": 0, "why": "rollback", ...}   the name is back at the first

The newest entry is where the pointer stands. ``previous`` is the entry that one step back means, so that two rollbacks go two steps back and
a rollback can itself be taken back. Entries are made exclusively under the next free number: of two writers at once both are kept, in order.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from regraft.lineage.files import TEMPORARY, Files


@dataclass(frozen=True, slots=True)
class Entry:
    """``generation``: a digest, or ``None`` where the pointer was removed."""

    number: int
    generation: str | None
    previous: int
    why: str
    time: str


class Journal:
    """All pointers of one kind, in one folder."""

    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self._folder = folder

    def all(self) -> dict[str, str]:
        """Pointer -> digest of the generation it stands at."""
        heads = {name: self.head(name) for name in self._files.names(self._folder) if not name.startswith(TEMPORARY)}
        return {name: head.generation for name, head in heads.items() if head and head.generation}

    def head(self, name: str) -> Entry | None:
        for number in reversed(self._numbers(name)):
            if entry := self._read(name, number):
                return entry
        return None

    def history(self, name: str) -> list[Entry]:
        """Every entry, oldest first."""
        return [entry for number in self._numbers(name) if (entry := self._read(name, number))]

    def back(self, name: str, steps: int) -> Entry | None:
        """The entry ``steps`` back from where the pointer stands; ``None`` where there is none."""
        entry = self.head(name)
        for _ in range(steps):
            entry = self._read(name, entry.previous) if entry else None
        return entry if entry and entry.generation else None

    def point(self, name: str, generation: str, why: str) -> None:
        """Move the pointer on to ``generation``; one step back is then where it stood. Nothing happens if it stands there."""
        while True:
            head = self.head(name)
            if head and head.generation == generation:
                return
            previous = head.number if head and head.generation else 0
            if self._append(name, Entry(self._next(name), generation, previous, why, _now())):
                return

    def return_to(self, name: str, entry: Entry) -> None:
        """Move the pointer back to an entry of its own history, so that it stands exactly as it stood then."""
        while not self._append(name, Entry(self._next(name), entry.generation, entry.previous, "rollback", _now())):
            pass

    def remove(self, name: str) -> None:
        while not self._append(name, Entry(self._next(name), None, 0, "remove", _now())):
            pass

    def _numbers(self, name: str) -> list[int]:
        return sorted(
            int(file[:-5]) for file in self._files.names(f"{self._folder}/{name}") if file.endswith(".json") and file[:-5].isdigit()
        )

    def _next(self, name: str) -> int:
        return (self._numbers(name) or [0])[-1] + 1

    def _read(self, name: str, number: int) -> Entry | None:
        try:
            return Entry(number, **json.loads(self._files.read(f"{self._folder}/{name}/{number:06d}.json")))
        except (FileNotFoundError, ValueError, TypeError):  # no such entry, or one whose writer was killed
            return None

    def _append(self, name: str, entry: Entry) -> bool:
        fields = {key: value for key, value in asdict(entry).items() if key != "number"}
        return self._files.create(f"{self._folder}/{name}/{entry.number:06d}.json", json.dumps(fields).encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
