"""Which generations the objectives of a run learn from: settled before there is a plan, and told in it. ``teacher`` brings what they answer."""

from __future__ import annotations

from regraft import lineage
from regraft.errors import PlanError
from regraft.plan.objective import Objective, Objectives
from regraft.train.objective import declared

PARENT = "parent"
FROM_GENERATIONS = ("logits", "features", "attention")
"""What a generation is asked for."""


def settled(objectives: Objectives, store: lineage.Store, *, parent: str | None = None) -> Objectives:
    """Every objective checked, and each teacher fixed by the start of its digest: a name may move, a plan must not.

    ``parent``: the generation that the run goes on from, if any. Raises ``PlanError``, ``LineageError``.
    """
    return tuple(_fixed(one, store, parent) for one in objectives)


def _fixed(one: Objective, store: lineage.Store, parent: str | None) -> Objective:
    asked = declared(one).asks
    if parent is not None and any(ask.what == "source_head" for ask in asked):
        raise PlanError(f"{one.name} from {store.get(parent).name}", "the classifier of the pretraining reads features that its trunk has moved away from",
                        "distill or l2_sp, which start from the parent; or regraft tune, which starts from the pretrained model")  # fmt: skip
    asks = [ask for ask in asked if ask.what in FROM_GENERATIONS]
    if not asks:
        return one
    if asks[0].of == PARENT and parent is None:
        raise PlanError(
            f"{one}: learn from the parent", "this run has none: it starts from a pretrained model", f"{one.name}(teacher=NAME)"
        )
    reference = parent if asks[0].of == PARENT and parent is not None else asks[0].of
    return one.with_options(teacher=store.get(reference).digest[:12])


def told(objectives: Objectives, store: lineage.Store) -> tuple[str, ...]:
    """A sentence for each teacher: which generation it is."""
    asks = dict.fromkeys(ask.of for one in objectives for ask in declared(one).asks if ask.what in FROM_GENERATIONS)
    records = [store.get(of) for of in asks]
    return tuple(
        f"teacher {record.digest[:12]}: {record.name}, {record.manifest['model']} by {record.manifest['strategy']}" for record in records
    )
