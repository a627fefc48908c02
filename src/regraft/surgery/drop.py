"""Drop: take a stage out of the host's list of blocks. What is left computes something else: heal it (``regraft edit --heal``)."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.errors import TrunkError
from regraft.surgery.chain import place_of, take_out
from regraft.surgery.flow import passages
from regraft.surgery.sites import Site
from regraft.surgery.structure import Drop
from regraft.trunk.network import Network


def find(network: Network, index: int, edit: Drop) -> tuple[Site, ...]:
    """The stage's modules, if its neighbours fit together without it."""
    trunk, stage = network.trunk, network.trunk.stages[index]
    asked = f"drop {stage.name}"
    place_of(trunk, index, asked)
    if len(trunk.stages) < 2:
        raise TrunkError(asked, "it is the only stage of the trunk", "keep it")
    seen = passages(trunk, list(stage.modules))
    if stage.modules[0] not in seen or stage.modules[-1] not in seen:
        raise TrunkError(asked, f"{stage.name} is not called with one tensor that it hands on", "another stage")
    entered, left = seen[stage.modules[0]].entered, seen[stage.modules[-1]].left
    if entered != left:
        raise TrunkError(asked, f"it takes {_shape(entered)} and gives {_shape(left)}: the stages around it do not fit together",
                         "drop a stage that keeps the shape")  # fmt: skip
    return tuple(Site(path, left[-1]) for path in stage.modules)


def install(network: Network, sites: Sequence[Site], edit: Drop) -> None:
    trunk, paths = network.trunk, {site.path for site in sites}
    index = next(at for at, stage in enumerate(trunk.stages) if set(stage.modules) == paths)
    take_out(trunk, index, place_of(trunk, index, f"drop {trunk.stages[index].name}"))


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape[1:])
