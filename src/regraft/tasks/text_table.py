"""A class or a number for a row of a table: its text through the trunk, its numeric and categorical columns beside that to the head.

Losses, metrics and answers are those of the task on texts alone. What the columns are (``data.fields``) are facts, so that a row is read the same way wherever
the model goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from regraft.data.fields import Fields, row_of
from regraft.spec import FORMS
from regraft.surgery.fused_head import FusedHead
from regraft.tasks.classification import TEXT_CLASSIFICATION
from regraft.tasks.regression import TEXT_REGRESSION
from regraft.tasks.task import Task
from regraft.trunk.trunk import Trunk


def text_table(name: str, plain: Task, facts: Mapping[str, Any] | None = None) -> Task:
    """``plain``: the task on texts alone."""
    known = dict(facts or {})
    bound, columns = plain.bound(known), Fields.of(known).width

    def head(trunk: Trunk, num_classes: int, dropout: float = 0.0) -> FusedHead:
        outputs = 1 if plain.form.target == "number" else num_classes
        return FusedHead(trunk.width, columns, outputs, trunk.pooling, dropout)

    def predictions(answers: NDArray[Any], classes: Sequence[str], inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """Those of the plain task; ``input`` is the row, column by column."""
        return bound.predictions(answers, classes, [row_of(one) if isinstance(one, str) else one for one in inputs])

    return replace(
        bound, name=name, form=FORMS[name], head=head, predictions=predictions, bind=partial(text_table, name, plain), facts=known
    )


TEXT_TABLE_CLASSIFICATION = text_table("text-table-classification", TEXT_CLASSIFICATION)
TEXT_TABLE_REGRESSION = text_table("text-table-regression", TEXT_REGRESSION)
