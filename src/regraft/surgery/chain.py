"""The list of blocks that a stage stands in: taking an entry out, putting one in, and everything that counts the entries.

Blocks are entries of a ``ModuleList`` or ``Sequential`` of the host. When one goes or comes, the paths of those behind it change (where
entries are numbered), stages are numbered anew as the family would, and so is what a transformers host reads: the number of layers and
their kinds in its configuration, and the number that each layer carries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from regraft.errors import TrunkError
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk

Rows = list[tuple[str, nn.Module]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage stands: the list's path in the host, and the names of the stage's entries there."""

    path: str
    names: tuple[str, ...]

    def rows(self, host: nn.Module) -> Rows:
        return list(host.get_submodule(self.path)._modules.items())  # type: ignore[arg-type]


def place_of(trunk: Trunk, index: int, asked: str) -> Place:
    """Raises ``TrunkError`` where the stage is not made of entries of one list."""
    stage = trunk.stages[index]
    parents = {path.rpartition(".")[0] for path in stage.modules}
    parent = next(iter(parents))
    if len(parents) != 1 or not parent or stage.extras or not isinstance(trunk.host.get_submodule(parent), (nn.ModuleList, nn.Sequential)):
        raise TrunkError(asked, f"{stage.name} is no entry of a list of blocks: it is {', '.join((*stage.modules, *stage.extras))}",
                         f"one of: {', '.join(name for name in trunk.stage_names if name != stage.name)}")  # fmt: skip
    if any(path.rpartition(".")[0] == parent for path in trunk.head_paths):
        raise TrunkError(asked, f"{stage.name} stands in one list with the host's own classifier", "a stage below it")
    return Place(parent, tuple(path.rpartition(".")[2] for path in stage.modules))


def take_out(trunk: Trunk, index: int, place: Place) -> None:
    """Take stage ``index`` out of the host and of the trunk."""
    rows = place.rows(trunk.host)
    position = [name for name, _ in rows].index(place.names[0])
    kept = [row for row in rows if row[0] not in place.names]
    stages = [stage for at, stage in enumerate(trunk.stages) if at != index]
    _relist(trunk, place, kept, stages)
    _recount(trunk, place, position, length=len(rows), by=-len(place.names))


def put_in(trunk: Trunk, index: int, place: Place, block: nn.Module) -> None:
    """Put ``block`` behind stage ``index``, as a stage of its own."""
    rows = place.rows(trunk.host)
    position = [name for name, _ in rows].index(place.names[-1]) + 1
    name = place.names[-1] + "_next"
    while name in dict(rows):
        name += "_next"
    stages = list(trunk.stages)
    stages.insert(index + 1, Stage(stages[index].name, (f"{place.path}.{name}",)))
    _relist(trunk, place, [*rows[:position], (name, block), *rows[position:]], stages)
    _recount(trunk, place, position, length=len(rows), by=1)


def _relist(trunk: Trunk, place: Place, rows: Rows, stages: Iterable[Stage]) -> None:
    """Fill the list with ``rows``, numbered anew where its entries are numbered, and let the trunk's ``stages`` follow."""
    held = trunk.host.get_submodule(place.path)
    is_numbered = all(name.isdigit() for name in held._modules)
    now = {name: str(at) if is_numbered else name for at, (name, _) in enumerate(rows)}
    held._modules.clear()
    held._modules.update({now[name]: module for name, module in rows})
    moved = {f"{place.path}.{name}": f"{place.path}.{new}" for name, new in now.items()}
    trunk.stages = _numbered([_followed(stage, moved, place.path) for stage in stages])


def _followed(stage: Stage, moved: dict[str, str], under: str) -> Stage:
    """``stage`` with the paths under a list as they are now."""

    def path_now(path: str) -> str:
        if not path.startswith(under + "."):
            return path
        entry, dot, inside = path[len(under) + 1 :].partition(".")
        return f"{moved[f'{under}.{entry}']}{dot}{inside}"

    return Stage(stage.name, tuple(map(path_now, stage.modules)), tuple(map(path_now, stage.extras)))


def _numbered(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """``blocks.0, blocks.1, ...`` without gaps; names that carry no number stay."""
    seen: Counter[str] = Counter()
    named = []
    for stage in stages:
        group, dot, number = stage.name.rpartition(".")
        if dot and number.isdigit():
            named.append(replace(stage, name=f"{group}.{seen[group]}"))
            seen[group] += 1
        else:
            named.append(stage)
    return tuple(named)


def _recount(trunk: Trunk, place: Place, position: int, *, length: int, by: int) -> None:
    """What a transformers host reads of the number of its layers. ``length``: before; ``position``: where entries went or came."""
    for at, (_, entry) in enumerate(place.rows(trunk.host)):
        for part in entry.modules():
            if type(getattr(part, "layer_idx", None)) is int:
                part.layer_idx = at  # type: ignore[assignment]
    config: Any = getattr(trunk.host, "config", None)
    if not hasattr(config, "to_json_string") or getattr(config, "num_hidden_layers", None) != length:
        return
    kinds = getattr(config, "layer_types", None)
    if isinstance(kinds, list):
        config.layer_types = kinds[:position] + (kinds[position - 1 : position] if by > 0 else []) + kinds[position + max(0, -by) :]
    config.num_hidden_layers = length + by
