"""Generations that can be merged: the same architecture, the same task, and weights that started from the same place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regraft import lineage
from regraft.data.fields import FACTS
from regraft.errors import RequestError
from regraft.serve import rebuild
from regraft.serve.rebuild import Rebuilt
from regraft.surgery import edits
from regraft.surgery.edits import EditRecord

ALIKE = {"task": "task", "source": "model", "input": "input", "pooling": "pooling"}
"""Key of the manifest that has to be equal -> the word for it."""
SHOWN = 60


@dataclass(frozen=True, eq=False, slots=True)
class Relative:
    """One generation, rebuilt, with what can be folded into its weights folded; ``edits`` are the rest."""

    record: lineage.Generation
    rebuilt: Rebuilt
    edits: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.rebuilt.classes

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, ``host.`` or ``head.``."""
        return {name: tensor for name, tensor in self.rebuilt.network.state_dict().items() if name.startswith(prefix)}


def related(store: lineage.Store, references: Sequence[str]) -> tuple[list[lineage.Generation], lineage.Generation | None]:
    """The generations, and the nearest one that all of them come from (``None``: only the pretrained weights). No weights are read.

    Raises ``RequestError`` where they cannot be merged, and says why.
    """
    found = [store.get(reference) for reference in references]
    asked = f"merge {', '.join(references)}"
    if len({one.digest for one in found}) < max(2, len(found)):
        what = "one generation" if len(found) < 2 else "the same generation twice"
        raise RequestError(asked, what, "name two different generations or more: regraft log shows what there is")
    first, *others = found
    for other in others:
        _check_alike(asked, first, other)
        if first.manifest.get("facts", {}).get(FACTS) != other.manifest.get("facts", {}).get(FACTS):
            raise RequestError(
                asked,
                "they read different columns beside the text, or by another mean, spread or values",
                "generations tuned on the same rows",
            )
    ancestor = _common(store, found)
    if ancestor is None:
        _check_start(asked, found)
    return found, ancestor


def open_relative(store: lineage.Store, record: lineage.Generation) -> Relative:
    rebuilt = rebuild.network(store, record.digest)
    rest = []
    for document in record.manifest["edits"]:
        edit = EditRecord.from_json(document)
        if edit.edit.is_linear:
            edits.merge(rebuilt.network, edit)
        else:
            rest.append(document)
    return Relative(record, rebuilt, tuple(rest))


def check_edits(relatives: Sequence[Relative]) -> None:
    """Edits that cannot be folded have to stand in all of them alike."""
    first, *others = relatives
    for other in others:
        if first.edits != other.edits:
            kinds = sorted({document["edit"]["kind"] for one in (first, other) for document in one.edits})
            raise RequestError(
                f"merge {first.name}, {other.name}", f"they carry different edits that no weight can take up: {', '.join(kinds)}",
                "models with the same edits; LoRA of any kind is folded by itself",
            )  # fmt: skip


def _check_alike(asked: str, first: lineage.Generation, other: lineage.Generation) -> None:
    for key, word in ALIKE.items():
        mine, theirs = first.manifest.get(key), other.manifest.get(key)
        if mine != theirs:
            said = (
                (first.manifest["model"], other.manifest["model"])
                if key == "source" and first.manifest["model"] != other.manifest["model"]
                else (mine, theirs)
            )
            advice = (
                "only one architecture can be merged; across architectures: regraft distill"
                if key == "source"
                else "generations that agree in it"
            )
            raise RequestError(
                asked, f"the {word} of {first.name} is {said[0]!s:.{SHOWN}}, that of {other.name} {said[1]!s:.{SHOWN}}", advice
            )


def _check_start(asked: str, found: Sequence[lineage.Generation]) -> None:
    """Without a common ancestor, the pretrained weights are what they have in common."""
    fresh = next((one for one in found if any(phase.get("fresh") for phase in one.manifest["plan"]["phases"])), None)
    if fresh is not None:
        raise RequestError(
            asked, f"{fresh.name} was trained from random weights, so its numbers have nothing to do with those of the others",
            "generations that were tuned from the same pretrained model",
        )  # fmt: skip
    if len({one.base for one in found}) > 1 or found[0].base is None:
        bases = ", ".join(f"{one.name}: {(one.base or 'none')[:12]}" for one in found)
        raise RequestError(
            asked, f"they started from different pretrained weights ({bases})", "generations that were tuned from the same pretrained model"
        )


def _common(store: lineage.Store, found: Sequence[lineage.Generation]) -> lineage.Generation | None:
    first, *others = (store.lineage(one.digest) for one in found)
    shared = set.intersection(*({one.digest for one in family} for family in others))
    return next((one for one in first if one.digest in shared), None)
