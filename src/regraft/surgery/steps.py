"""Steps of an operation: edits and the stages that they are meant for. Free of torch.

Step(edit=Drop(), stages="blocks.2,blocks.3")
Step(edit=Prune(what="heads"), stages="all", is_given=False)       wherever it can be done
"""

from __future__ import annotations

from dataclasses import dataclass

from regraft.surgery.specs import Edit


@dataclass(frozen=True, slots=True)
class Step:
    """``stages``: a selection as in ``trunk.select``, over the model as the steps before have left it. ``is_given``: did a person name the
    stages? Then each of them has to take the edit; else those that cannot are passed over."""

    edit: Edit
    stages: str
    is_given: bool = True
