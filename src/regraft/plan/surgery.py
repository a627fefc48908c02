"""Before the grid: surgery, as a person types it. Free of torch.

drop(blocks.2, blocks.3)                        the stages, by name, index or range
insert(se, after=blocks.1)                      se, adapter, block or dropout; width=, p=
replace(activation=relu, at=blocks.2:)          activation, norm, pooling, head or block
prune(heads, amount=0.25, at=all)               heads or channels; criterion=
widen(factor=1.5, at=blocks.3)                  noise=
deepen(after=blocks.3)
quantize(nf4)                                   nf4 or fp4; at=
drop(4, 5) + prune(channels, amount=0.5)        one after the other

bundled:minilm + drop(blocks.1, blocks.3, blocks.5)                  a model with its surgery, wherever a model is named
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from regraft.errors import PlanError, suggest
from regraft.plan.grammar import Term, terms
from regraft.surgery.steps import Step
from regraft.surgery.structure import STRUCTURAL, Replace

START_OF_SURGERY = re.compile(rf"\+\s*(?=(?:{'|'.join(STRUCTURAL)})\s*(?:\(|\+|$))")


@dataclass(frozen=True, slots=True)
class Form:
    """How an edit is typed. ``first``: the setting that its values without a key mean; ``where``: the key of the stages, "" where those
    values are the stages; ``everywhere``: the stages where none are named, "" where they must be."""

    first: str = ""
    where: str = "at"
    everywhere: str = "all"


FORMS = {
    "drop": Form(where="", everywhere=""),
    "insert": Form(first="module", where="after", everywhere=""),
    "replace": Form(),
    "prune": Form(first="what"),
    "widen": Form(),
    "deepen": Form(where="after", everywhere=""),
    "quantize": Form(first="levels"),
}


def parse_surgery(text: str) -> tuple[Step, ...]:
    """The steps of ``text``. Raises ``PlanError`` with what to type."""
    return tuple(_step(term) for term in terms(text, what="edit"))


def split_model(model: str) -> tuple[str, str]:
    """``bundled:minilm+drop(1, 3)`` as the model and the surgery on it; without any, the second is empty."""
    parts = START_OF_SURGERY.split(model, maxsplit=1)
    return parts[0].strip(), parts[1].strip() if len(parts) > 1 else ""


def _step(term: Term) -> Step:
    kind = term.name.replace("-", "_")
    if kind not in STRUCTURAL:
        raise PlanError(f"edit {term.name!r}", "no edit of the structure has that name", suggest(kind, STRUCTURAL))
    form, settings = FORMS[kind], dict(term.kwargs)
    stages = _selection(term.args if not form.where else _listed(settings.pop(form.where, ())))
    if form.where and term.args:
        if len(term.args) > 1 or not form.first:
            raise PlanError(f"{kind}({', '.join(map(str, term.args))})", f"stages are named by {form.where}=", _example(kind))
        settings[form.first] = term.args[0]
    _check_names(kind, form, settings)
    edit = STRUCTURAL[kind](**settings)
    everywhere = "head" if isinstance(edit, Replace) and edit.what in ("head", "pooling") else form.everywhere
    if not stages and not everywhere:
        raise PlanError(f"{kind}()", "no stage is named", _example(kind))
    return Step(edit, stages or everywhere, is_given=bool(stages) or everywhere == "head")


def _check_names(kind: str, form: Form, settings: dict[str, Any]) -> None:
    known = [field.name for field in fields(STRUCTURAL[kind])]
    for key in settings:
        if key not in known:
            raise PlanError(f"{kind}({key}=...)", f"{kind} has no such setting", suggest(key, [*known, *filter(None, [form.where])]))
    if form.first == "module" and "module" not in settings:
        raise PlanError("insert()", "it is not said what", _example("insert"))


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _selection(stages: Sequence[Any]) -> str:
    return ",".join(str(stage) for stage in stages)


def _example(kind: str) -> str:
    return {
        "drop": "drop(blocks.2, blocks.3)",
        "insert": "insert(adapter, after=blocks.2)",
        "replace": "replace(activation=relu, at=blocks.2)",
        "prune": "prune(heads, amount=0.25, at=blocks.2)",
        "widen": "widen(factor=1.5, at=blocks.2)",
        "deepen": "deepen(after=blocks.2)",
        "quantize": "quantize(nf4, at=blocks.2)",
    }[kind]
