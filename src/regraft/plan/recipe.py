"""The recipe: the YAML file that a person writes, and a plan as such a file.

    model: bundled:minilm
    strategy: freeze(below=blocks.3) + discriminative_lr(decay=0.8)
    objective: l2_sp(strength=0.01)
    settings: {epochs: 3, lr: 1e-4}

``strategy`` and ``objective`` may be lists instead (``full`` and ``lora(rank=4)`` one under the other are added), a strategy also a grid
by hand: ``phases``, each with ``cells`` for the rows that do anything. What is given later wins: defaults, then the recipe, then flags (``layered``). A key
that nobody knows is an error with the nearest spelling. Free of torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from regraft.errors import PlanError, suggest
from regraft.plan.cell import FROZEN, Cell, Only
from regraft.plan.columns import row_names
from regraft.plan.objective import parse as parse_objectives
from regraft.plan.objective import text_of
from regraft.plan.phase import Phase, Solver
from regraft.plan.plan import Plan
from regraft.plan.settings import Settings
from regraft.plan.strategy import Strategy, parse
from regraft.surgery.specs import edit_from_json
from regraft.trunk.select import select_stages

Document = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
BY_HAND = "grid"
"""The strategy text of a grid written by hand that names none."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class CellRecipe(Strict):
    trainable: bool = True
    lr_scale: float = 1.0
    edit: Document | None = None
    only: Only = "all"


class PhaseRecipe(Strict):
    """``cells``: stage selection -> what moves there; rows that none names are frozen. Later ones win."""

    name: str
    cells: dict[str, CellRecipe] = Field(default_factory=dict)
    epochs_fraction: float = 1.0
    solver: Solver = "gradient"
    lr_scale: float = 1.0
    fresh: bool = False
    live: str = ""


class GridRecipe(Strict):
    text: str = BY_HAND
    stages: list[str] = Field(default_factory=list)
    phases: list[PhaseRecipe]


def _settings_model() -> type[BaseModel]:
    """The settings as a strict model, field for field, so that there is one list of them."""
    hints = get_type_hints(Settings)
    described: Document = {
        field.name: (hints[field.name], field.default if field.default is not MISSING else ...) for field in fields(Settings)
    }
    described["augment"] = (dict[str, bool | int | float | str], Field(default_factory=dict))
    return create_model("SettingsRecipe", __base__=Strict, **described)


SettingsRecipe = _settings_model()


class Recipe(Strict):
    """Every key that a recipe may hold. ``input`` and ``target`` name columns of the data; ``facts`` is what a written plan
    knows about them."""

    data: str | None = None
    model: str | None = None
    task: str | None = None
    input: str | None = None
    target: str | None = None
    strategy: str | list[str] | GridRecipe | None = None
    objective: str | list[str] | None = None
    settings: SettingsRecipe | None = None  # type: ignore[valid-type]
    name: str | None = None
    store: str | None = None
    budget: str | None = None
    facts: Document | None = None
    reasons: list[str] | None = None
    warnings: list[str] | None = None
    cost: Document | None = None


def read(path: Path | str) -> Document:
    """A recipe file as the document of the keys that it gives, checked and of the right types. Raises ``PlanError``.

    Of a written plan, what is asked for and not the facts that were found."""
    path = Path(path)
    if not path.is_file():
        raise PlanError(f"recipe {path}", "there is no such file", "a path to a YAML file")
    document = checked(_yaml(path.read_text(encoding="utf-8"), str(path)), str(path))
    return {key: value for key, value in document.items() if key != "facts"}


def checked(document: Any, origin: str = "the recipe") -> Document:
    """``document`` with each value in its proper type, holding just the keys that were given; an empty key counts as not given."""
    if not isinstance(document, Mapping):
        raise PlanError(origin, f"it holds {type(document).__name__} where keys were expected", "lines such as 'strategy: full'")
    try:
        given = Recipe.model_validate(document).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise _plan_error(error, origin) from error
    return {key: value for key, value in given.items() if value is not None}


def assignments(pairs: Sequence[str]) -> Document:
    """``["lr=3e-4", "settings.augment.flip=true"]``, as after ``--set``, as a recipe document. A setting needs no ``settings.``."""
    document: Document = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise PlanError(f"--set {pair}", "it is not of the form path.to.key=value", "--set lr=3e-4")
        if keys[0] not in Recipe.model_fields and keys[0] in SettingsRecipe.model_fields:
            keys.insert(0, "settings")
        if keys[0] not in Recipe.model_fields:
            raise PlanError(f"--set {pair}", "no such key", suggest(keys[0], {*Recipe.model_fields, *SettingsRecipe.model_fields}))
        node = document
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise PlanError(f"--set {pair}", f"{key} was set to a value before", "set it once")
        node[keys[-1]] = _yaml(text, f"--set {pair}") if text.strip() else ""
    return checked(document, "--set")


def layered(*layers: Mapping[str, Any]) -> Document:
    """The layers over each other, the last one winning key by key; a strategy is replaced whole."""
    result: Document = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            merges = key != "strategy" and isinstance(value, Mapping) and isinstance(below, Mapping)
            result[key] = layered(below, value) if merges else value  # type: ignore[arg-type]
    return result


def settings_of(document: Mapping[str, Any], start: Settings | None = None) -> Settings:
    """The settings of a checked document over those of ``start``."""
    given = document.get("settings") or {}
    return Settings.from_json({**layered((start or Settings()).json(), given)})


def strategy_of(value: str | Sequence[str] | Mapping[str, Any]) -> Strategy:
    """The strategy of a checked document: typed text, a list of such texts, or a grid by hand."""
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, Mapping):
        grid = GridRecipe.model_validate(value)
        return Strategy(grid.text, lambda outline, _phases: _phases_of(grid, row_names(outline)))
    if not value:
        raise PlanError("a strategy of no parts", "the list is empty", "strategy: full")
    return parse("+".join(value))


def write(plan: Plan) -> str:
    """``plan`` as a recipe: whoever reads it gets the same grid whatever the strategies do by then."""
    phases = [
        {
            **{key: value for key, value in phase.json().items() if key != "cells"},
            "cells": {name: _brief(cell) for name, cell in zip(plan.stages, phase.cells, strict=True) if cell != FROZEN},
        }
        for phase in plan.phases
    ]
    source = {"data": plan.data["reference"]} if plan.data.get("reference") else {}
    document = {
        **source,
        "task": plan.task,
        "model": plan.model,
        "strategy": {"text": plan.strategy, "stages": list(plan.stages), "phases": phases},
        **({"objective": text_of(plan.objectives)} if plan.objectives else {}),
        "settings": plan.settings.json(),
        "reasons": list(plan.reasons),
        "warnings": list(plan.warnings),
        "cost": plan.cost,
        "facts": plan.data,
    }
    return yaml.dump(document, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=120)


def load(text: str) -> Plan:
    """The plan that ``write`` wrote. Raises ``PlanError`` where the recipe does not fix the whole grid."""
    document = checked(_yaml(text, "the plan"), "the plan")
    strategy = document.get("strategy")
    if not isinstance(strategy, dict) or not strategy.get("stages") or not document.get("task") or not document.get("model"):
        raise PlanError(
            "a whole plan", "the recipe leaves its task, model or grid open", "regraft plan DATA --recipe FILE, which fills them in"
        )
    grid = GridRecipe.model_validate(strategy)
    return Plan(
        task=document["task"],
        model=document["model"],
        strategy=grid.text,
        stages=tuple(grid.stages),
        phases=_phases_of(grid, tuple(grid.stages)),
        settings=settings_of(document),
        objectives=parse_objectives(document.get("objective") or ""),
        reasons=tuple(document.get("reasons") or ()),
        warnings=tuple(document.get("warnings") or ()),
        cost=document.get("cost") or {},
        data=document.get("facts") or {},
    )


def _phases_of(grid: GridRecipe, rows: tuple[str, ...]) -> tuple[Phase, ...]:
    if grid.stages and tuple(grid.stages) != rows:
        raise PlanError(
            f"a grid over {', '.join(grid.stages)}",
            f"the model's rows are {', '.join(rows)}",
            "leave 'stages' out, or the model it was written for",
        )
    return tuple(_phase_of(phase, rows) for phase in grid.phases)


def _phase_of(phase: PhaseRecipe, rows: tuple[str, ...]) -> Phase:
    cells = [FROZEN] * len(rows)
    for selection, cell in phase.cells.items():
        for row in [rows.index(selection)] if selection in rows else select_stages(rows, selection):
            cells[row] = Cell(trainable=cell.trainable, lr_scale=cell.lr_scale, edit=edit_from_json(cell.edit), only=cell.only)
    return Phase(
        name=phase.name, cells=tuple(cells), epochs_fraction=phase.epochs_fraction, solver=phase.solver, lr_scale=phase.lr_scale, fresh=phase.fresh
    )  # fmt: skip


def _brief(cell: Cell) -> Document:
    """A cell without what is plain for one that trains."""
    usual = CellRecipe().model_dump()
    return {key: value for key, value in cell.json().items() if value != usual[key]}


def _yaml(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise PlanError(origin, f"no YAML: {' '.join(str(error).split())}", "quote values that hold ': ' or '#'") from error


def _plan_error(error: ValidationError, origin: str) -> PlanError:
    """The first complaint in asked / found / try; of a union's complaints, the one deepest inside what was given."""
    complaint = max(error.errors(), key=lambda one: (one["type"] == "extra_forbidden", len(one["loc"])))
    path = [str(part) for part in complaint["loc"] if str(part) not in ("GridRecipe", "str", "list[str]")]
    place = ".".join(path)
    if len(path) == 1 and place in SettingsRecipe.model_fields:
        return PlanError(f"{place} in {origin}", "it is one of the settings", f"settings: {{{place}: ...}}")
    if complaint["type"] == "extra_forbidden":
        return PlanError(f"{place} in {origin}", "no such key", suggest(path[-1], _keys_at(path)))
    return PlanError(f"{place}={complaint['input']!r} in {origin}", complaint["msg"], f"another value for {place}")


def _keys_at(path: Sequence[str]) -> list[str]:
    """The keys that may stand where the last one of ``path`` does."""
    holders: dict[str, type[BaseModel]] = {"settings": SettingsRecipe, "strategy": GridRecipe, "phases": PhaseRecipe, "cells": CellRecipe}
    inside = [part for part in path[:-1] if part in holders]
    return list((holders[inside[-1]] if inside else Recipe).model_fields)
