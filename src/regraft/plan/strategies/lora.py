"""``lora(rank=8, where=query)``: low-rank updates in the stages that were trainable; their base weights stay (2106.09685).

A trainable stage in which ``where`` means no layer (an embedding, a norm) is frozen; a ``where`` that means none at all is an error.
``variant``: plain, rslora, dora, pissa, ia3. ``stem``: the stem trains beside them, whole: the embedding of a language model, and with it the output layer where
that is tied to it, to which low-rank updates of the blocks do not reach (2309.12307).
"""

from __future__ import annotations

from regraft.errors import PlanError
from regraft.plan.columns import stand
from regraft.plan.strategy import Phases, strategy
from regraft.surgery.specs import Lora, LoraVariant
from regraft.trunk.outline import Outline
from regraft.trunk.select import select_modules

STEM = "stem"
STEM_SCALE = 0.1
"""Of the rate of the updates: what whole weights take beside them (Schulman 2025)."""


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
    stem: bool = False,
) -> Phases:
    edit = Lora(rank=rank, alpha=float(alpha), where=_words(where), variant=variant, dropout=float(dropout))
    linears = [[path for path, _, _ in stage.linears] for stage in outline.stages]
    everywhere = [path for paths in linears for path in paths]
    if not everywhere:
        raise PlanError(edit.label, f"{outline.reference} has no linear layers", "full, top(n=1) or bias_only")
    chosen = set(select_modules(everywhere, edit.where))
    sites = frozenset(index for index, paths in enumerate(linears) if not chosen.isdisjoint(paths))
    return stand(phases, edit, sites, outline=outline, whole=_stem(outline) if stem else {})


def _stem(outline: Outline) -> dict[int, float]:
    """Index of each stage of the stem -> times the rate."""
    found = {index: STEM_SCALE for index, name in enumerate(outline.stage_names) if name.partition(".")[0] == STEM}
    if not found:
        raise PlanError(
            "lora(stem=True)", f"{outline.reference} has no stage named {STEM}: {', '.join(outline.stage_names)}", "lora without it"
        )
    return found


def _words(where: object) -> str:
    """A list of names as one selection, so that the cell's JSON holds a string."""
    return where if isinstance(where, str) else ",".join(str(word) for word in where)  # type: ignore[attr-defined]
