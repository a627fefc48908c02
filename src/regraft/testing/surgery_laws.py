"""Laws of an edit: fresh, it is the identity (law 2); merged it equals unmerged, and taken off it leaves no trace (law 5).

An edit of the structure that is lossy by nature says so (``keeps_function``); law 2 is not asked of it.
"""

from __future__ import annotations

import torch

from regraft.errors import TrunkError
from regraft.surgery.edits import EditRecord, apply, is_structural, merge, undo
from regraft.surgery.specs import Edit
from regraft.testing.law import law
from regraft.testing.model_laws import logits_of
from regraft.trunk import tensors
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs, check_cover

TOLERANCE = 1e-5
SHAKE = 0.1


def stage_for(network: Network, edit: Edit) -> int | None:
    """The last row of ``network`` that takes ``edit``, the head first; ``None`` where each of them refuses, and is then as it was."""
    before = tensors.digests(network)
    for index in reversed(range(len(network.stage_names))):
        try:
            record = apply(network, index, edit)
        except TrunkError:
            law(tensors.digests(network) == before, f"{edit.label} was refused in {network.stage_names[index]} and changed it all the same")
            continue
        undo(network, record)
        return index
    return None


def keeps_function(edit: Edit) -> bool:
    """Is a fresh ``edit`` the identity?"""
    return bool(getattr(edit, "keeps_function", True))


def check_identity(network: Network, index: int, edit: Edit, inputs: Inputs) -> None:
    """Law 2: a fresh ``edit`` in stage ``index`` changes no logit by more than 1e-5, and its parameters are the stage's own."""
    before = logits_of(network, inputs)
    record = _applied(network, index, edit)
    check_cover(network.trunk)
    rows = range(len(network.stage_names)) if is_structural(edit) else [index]  # a new stage is a row of its own
    own = {name for row in rows for name, _ in network.stage_parameters(row)}
    law(set(record.parameters) <= own, f"{edit.label}: parameters that it brought are not those of {record.stage}")
    _near(before, logits_of(network, inputs), f"a fresh {edit.label} in {record.stage} is not the identity")
    undo(network, record)


def check_merge(network: Network, index: int, edit: Edit, inputs: Inputs) -> bool:
    """Law 5, with the edit's parameters moved away from their start. Returns whether it can be merged; that one must be undone at least."""
    before, modules = tensors.digests(network), list(network.modules())
    record = _applied(network, index, edit)
    _shake(network, record)
    edited = logits_of(network, inputs)
    undo(network, record)
    law(tensors.digests(network) == before, f"{edit.label} in {record.stage}, undone, leaves other weights")
    same = all(a is b for a, b in zip(modules, network.modules(), strict=False)) and len(modules) == len(list(network.modules()))
    law(same, f"{edit.label} in {record.stage}, undone, leaves other modules")
    record = _applied(network, index, edit)
    _shake(network, record)
    try:
        merge(network, record)
    except TrunkError:
        undo(network, record)
        return False
    law(list(tensors.digests(network)) == list(before), f"{edit.label} in {record.stage}, merged, leaves other names")
    _near(edited, logits_of(network, inputs), f"{edit.label} in {record.stage}: merged differs from unmerged")
    return True


def _applied(network: Network, index: int, edit: Edit) -> EditRecord:
    torch.manual_seed(0)
    return apply(network, index, edit)


@torch.no_grad()
def _shake(network: Network, record: EditRecord) -> None:
    torch.manual_seed(1)
    parameters = dict(network.named_parameters())
    for name in record.parameters:
        parameters[name].add_(torch.randn_like(parameters[name]) * SHAKE)


def _near(one: torch.Tensor, other: torch.Tensor, sentence: str) -> None:
    difference = float((one - other).abs().max() / one.abs().max().clamp(min=1.0))
    law(difference <= TOLERANCE, f"{sentence}: logits differ by {difference:.1e}")
