"""An operation: several edits of the structure, one after the other, all of them or none."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.errors import RequestError, TrunkError
from regraft.surgery.edits import EditRecord, apply, undo
from regraft.surgery.heads import LinearHead
from regraft.surgery.steps import Step
from regraft.surgery.structure import Replace
from regraft.trunk.network import HEAD, Network
from regraft.trunk.select import select_stages
from regraft.trunk.trunk import Trunk

FROM_BEHIND = ("drop", "deepen")
"""Edits that move later stages: done from behind, so that the stages keep the names by which they were chosen."""


def operate(network: Network, steps: Sequence[Step]) -> list[EditRecord]:
    """Apply ``steps`` in order; a step that cannot be done takes the ones before it back, and says why."""
    done: list[EditRecord] = []
    try:
        for step in steps:
            done += _carry_out(network, step)
    except RequestError:
        take_back(network, done)
        raise
    return done


def operate_on_trunk(trunk: Trunk, steps: Sequence[Step]) -> list[EditRecord]:
    """``operate`` where no head stands yet; what concerns the head alone is refused."""
    if any(isinstance(step.edit, Replace) and step.edit.head for step in steps):
        raise TrunkError(
            f"replace the head of {trunk.reference}",
            "it has none yet: the task makes one",
            "regraft edit NAME 'replace(head=mlp)' once it is tuned",
        )
    return operate(Network(trunk, LinearHead(trunk.width, 2, trunk.pooling)), steps)


def take_back(network: Network, records: Sequence[EditRecord]) -> None:
    """Undo edits, the last one first."""
    for record in reversed(records):
        undo(network, record)


def _carry_out(network: Network, step: Step) -> list[EditRecord]:
    chosen = select_stages(network.stage_names, step.stages)
    done: list[EditRecord] = []
    refused: TrunkError | None = None
    for index in reversed(chosen) if step.edit.kind in FROM_BEHIND else chosen:
        try:
            done.append(apply(network, index, step.edit))
        except TrunkError as error:
            if step.is_given:
                take_back(network, done)
                raise
            refused = error
    if not done:
        found = refused.found if refused else "no stage was chosen"
        raise TrunkError(f"{step.edit.label} anywhere in {network.trunk.reference or HEAD}", f"no stage takes it; the last one said: {found}",
                         "another edit, or name the stages: at=...")  # fmt: skip
    return done
