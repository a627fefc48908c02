"""What an edit did to a network's structure, so that it can be taken back: which entries of which modules now hold something else.

with watched(network) as changes:      an error inside takes everything back
    ...                                modules swapped, lists shortened, attributes set; no tensor is written into
changes.undo()                         the same objects are back in their places
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from regraft.errors import TrunkError
from regraft.trunk.network import Network

TABLES = ("_modules", "_parameters", "_buffers")


@dataclass(frozen=True, eq=False, slots=True)
class _Table:
    """A module's children, parameters or buffers before and after."""

    owner: nn.Module
    name: str
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class _Attribute:
    owner: Any
    name: str
    before: Any
    after: Any


MISSING = object()


@dataclass(eq=False, slots=True)
class Changes:
    """``tables`` and ``attributes`` that an edit changed; empty until the watch is over."""

    tables: list[_Table] = field(default_factory=list)
    attributes: list[_Attribute] = field(default_factory=list)

    def undo(self, asked: str) -> None:
        """Put everything back. Raises ``TrunkError`` where something was changed again since."""
        later = [t.name for t in self.tables if not _same(getattr(t.owner, t.name), t.after)]
        later += [a.name for a in self.attributes if a.owner.__dict__.get(a.name, MISSING) is not a.after]
        if later:
            raise TrunkError(asked, "the model was edited again since, in the same place", "undo the later edits first, the last one first")
        self.put_back()

    def put_back(self) -> None:
        for table in self.tables:
            place = getattr(table.owner, table.name)
            place.clear()
            place.update(table.before)
            for value in table.before.values():
                if isinstance(value, nn.Module) and not any(value is other for other in table.after.values()):
                    value.train(table.owner.training)
        for change in self.attributes:
            if change.before is MISSING:
                del change.owner.__dict__[change.name]
            else:
                change.owner.__dict__[change.name] = change.before


@contextmanager
def watched(network: Network) -> Iterator[Changes]:
    """Note what happens to ``network``, its trunk and its host's configuration inside the block; an error takes it back."""
    changes = Changes()
    before = [(owner, _tables(owner), _attributes(owner)) for owner in _owners(network)]
    try:
        yield changes
    except BaseException:
        _compare(before, changes)
        changes.put_back()
        raise
    _compare(before, changes)


def _owners(network: Network) -> list[Any]:
    config = getattr(network.host, "config", None)
    return [*network.modules(), network.trunk, *([config] if hasattr(config, "__dict__") else [])]


def _tables(owner: Any) -> dict[str, dict[str, Any]]:
    return {name: dict(getattr(owner, name)) for name in TABLES} if isinstance(owner, nn.Module) else {}


def _attributes(owner: Any) -> dict[str, Any]:
    return {name: value for name, value in owner.__dict__.items() if name not in TABLES}


def _compare(before: list[tuple[Any, dict[str, dict[str, Any]], dict[str, Any]]], changes: Changes) -> None:
    for owner, tables, attributes in before:
        for name, held in tables.items():
            if not _same(getattr(owner, name), held):
                changes.tables.append(_Table(owner, name, held, dict(getattr(owner, name))))
        now = _attributes(owner)
        for name in attributes.keys() | now.keys():
            was, became = attributes.get(name, MISSING), now.get(name, MISSING)
            if was is not became:
                changes.attributes.append(_Attribute(owner, name, was, became))


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """The same names in the same order, holding the same objects."""
    return list(one) == list(other) and all(one[name] is other[name] for name in one)
