"""Healing: an edited generation learns back what the edit cost it, from its unedited parent (Hinton et al. 2015, 1503.02531)."""

from __future__ import annotations

from typing import Any

from regraft.grow.distill import distill
from regraft.train.history import Observer
from regraft.tune.generation import Generation
from regraft.tune.job import Work, no_work


def heal(
    edited: Generation, data: str, *, teacher: str, name: str, observer: Observer | None = None, work: Work = no_work, **settings: Any
) -> Generation:
    """A child of ``edited`` that was trained on ``data`` with the answers of ``teacher``. ``settings``: as for ``distill``. Its document says
    what the surgery was, and what the model measured between the two."""
    made = distill(teacher, data, model=edited.digest, name=name, store=edited.store.location, observer=observer, work=work, **settings)
    made.document["surgery"] = {**edited.record.manifest["surgery"], "edited": edited.metrics}
    return made
