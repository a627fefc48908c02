"""``lora(rank=8, where=query)``: low-rank updates in the stages that were trainable; their base weights stay (2106.09685).

A trainable stage in which ``where`` means no layer (an embedding, a norm) is frozen; a ``where`` that means none at all is an error.
``variant``: plain, rslora, dora, pissa, ia3.
"""

from __future__ import annotations

from regraft.errors import PlanError
from regraft.plan.columns import stand
from regraft.plan.strategy import Phases, strategy
from regraft.surgery.specs import Lora, LoraVariant
from regraft.trunk.outline import Outline
from regraft.trunk.select import select_modules


@strategy
def lora(
    outline: Outline,
    phases: Phases,
    *,
    rank: int = 8,
    alpha: float = 16.0,
    where: str = "linear",
    variant: LoraVariant = "plain",
    dropout: float = 0.0,
) -> Phases:
    edit = Lora(rank=rank, alpha=float(alpha), where=_words(where), variant=variant, dropout=float(dropout))
    linears = [[path for path, _, _ in stage.linears] for stage in outline.stages]
    everywhere = [path for paths in linears for path in paths]
    if not everywhere:
        raise PlanError(edit.label, f"{outline.reference} has no linear layers", "full, top(n=1) or bias_only")
    chosen = set(select_modules(everywhere, edit.where))
    return stand(phases, edit, frozenset(index for index, paths in enumerate(linears) if not chosen.isdisjoint(paths)), outline=outline)


def _words(where: object) -> str:
    """A list of names as one selection, so that the cell's JSON holds a string."""
    return where if isinstance(where, str) else ",".join(str(word) for word in where)  # type: ignore[attr-defined]
