"""Does a plan make sense? Contradictions raise ``PlanError``; what will run and yet deserves a second look comes back as warnings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from regraft.errors import PlanError, RegraftError
from regraft.plan.cell import Cell
from regraft.plan.columns import HEAD, row_names
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.surgery.specs import Lora, Statistics
from regraft.trunk.outline import Outline, StageOutline
from regraft.trunk.select import select_modules

Check = Callable[[Plan, Outline], Iterator[str]]
MIXES = frozenset({"mixup", "cutmix"})
SMALL_BATCH = 8
LONG_WARMUP = 0.5


def check(plan: Plan, outline: Outline) -> tuple[str, ...]:
    """Warnings about ``plan`` over ``outline``. Raises ``PlanError`` where it contradicts itself or the trunk."""
    return tuple(dict.fromkeys(warning for one in CHECKS for warning in one(plan, outline)))


def names_can_be_typed(plan: Plan, outline: Outline) -> Iterator[str]:
    names = outline.stage_names
    for name in names:
        if name == HEAD or names.count(name) > 1 or not re.fullmatch(r"[^\W\d][\w.-]*", name):
            raise PlanError(f"a stage named {name!r}", "stage names are unique, start with a letter, hold letters, digits, dots and dashes, and are not 'head'",
                            "another name for that stage")  # fmt: skip
    yield from ()


def grid_fits_trunk(plan: Plan, outline: Outline) -> Iterator[str]:
    rows = row_names(outline)
    if plan.stages != rows:
        raise PlanError(f"a plan over {', '.join(plan.stages)}", f"the rows of {outline.reference} are {', '.join(rows)}",
                        "make the plan again for this model")  # fmt: skip
    if not plan.phases:
        raise PlanError("a plan of no phases", "nothing would happen", "name a strategy, such as --strategy full")
    for phase in plan.phases:
        if len(phase.cells) != len(rows):
            raise PlanError(f"phase {phase.name!r} with {len(phase.cells)} cells", f"the grid has {len(rows)} rows: {', '.join(rows)}",
                            "one cell for each stage, and one for the head")  # fmt: skip
    yield from ()


def something_trains(plan: Plan, outline: Outline) -> Iterator[str]:
    for phase in plan.phases:
        if not any(cell.trainable and cell.lr_scale > 0 for cell in phase.cells):
            raise PlanError(f"phase {phase.name!r}", "nothing trains in it: every cell is frozen, or its rate is 0",
                            "let the head train, or leave the phase out")  # fmt: skip
        if outline.own_head == "tied" and not any(cell.trainable for cell in phase.cells[:-1]):
            raise PlanError(f"phase {phase.name!r} training the head alone", "the table of this head is that of the stem, which is frozen",
                            "top(n=1) or more, lora or full")  # fmt: skip
        for name, cell in zip(plan.stages, phase.cells, strict=True):
            if cell.lr_scale < 0:
                raise PlanError(
                    f"lr_scale {cell.lr_scale} of {name} in phase {phase.name!r}", "a rate is not negative", "lr_scale from 0 up"
                )
            if cell.trainable and cell.lr_scale == 0:
                yield f"phase {phase.name!r}: {name} is trainable at rate 0, so it moves by weight decay alone"
    if outline.own_head == "none" and not any(phase.cells[-1].trainable for phase in plan.phases):
        yield "the head never trains: right only where it comes from a parent that knew the same classes"


def closed_form_moves_the_head_alone(plan: Plan, outline: Outline) -> Iterator[str]:
    solved = [phase for phase in plan.phases if phase.solver == "closed_form"]
    for phase in solved:
        if phase.boundary < len(outline.stages):
            raise PlanError(f"phase {phase.name!r} solved in closed form", f"{plan.stages[phase.boundary]} moves or is edited in it, and only a linear head can be solved so",
                            "freeze the trunk there, or solver: gradient")  # fmt: skip
    if len(solved) < len(plan.phases):
        return
    names = {name for name, value in plan.settings.augment if value is not False}
    if names & MIXES:
        raise PlanError(f"{', '.join(sorted(names & MIXES))} with {plan.strategy}", "a closed form sees each example once, as it is; there is nothing to mix",
                        "another strategy, such as top(n=0), or no mixing")  # fmt: skip
    if names or plan.settings.label_smoothing:
        yield "augmentation and label smoothing have no effect: the head is solved in closed form"


def objectives_have_a_gradient(plan: Plan, outline: Outline) -> Iterator[str]:
    """A head that is solved in closed form minimises the task's loss and nothing else."""
    solved = [phase.name for phase in plan.phases if phase.solver == "closed_form"]
    names = ", ".join(dict.fromkeys(one.name for one in plan.objectives))
    if plan.objectives and len(solved) == len(plan.phases):
        raise PlanError(f"{names} with {plan.strategy}", "no phase is trained by gradient, so no objective can act",
                        "--strategy full, top(n=2) or another that trains by gradient")  # fmt: skip
    if plan.objectives and solved:
        yield f"phase {', '.join(map(repr, solved))} is solved in closed form: {names} does not act in it"


def shares_add_up(plan: Plan, outline: Outline) -> Iterator[str]:
    shares = [phase.epochs_fraction for phase in plan.phases if phase.solver == "gradient"]
    if not shares:
        return
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise PlanError(f"phases with shares {', '.join(f'{share:g}' for share in shares)} of the epochs", f"together they are {sum(shares):g}",
                        "epochs_fraction from 0 up, adding up to 1 over the phases that take epochs")  # fmt: skip
    if plan.settings.epochs == 0 or plan.settings.lr == 0:
        raise PlanError(f"epochs={plan.settings.epochs:g} at lr={plan.settings.lr:g}", "nothing would move", "--epochs and --lr above 0")
    yield from ()


def warmup_ends(plan: Plan, outline: Outline) -> Iterator[str]:
    fraction = plan.settings.warmup_fraction
    if fraction >= 1 and any(phase.solver == "gradient" for phase in plan.phases):
        raise PlanError(f"warmup_fraction={fraction:g}", "the rate would never be reached", "--set warmup_fraction=0.1")
    if fraction > LONG_WARMUP:
        yield f"warm-up takes {fraction:.0%} of the steps"


def batch_norm_has_a_batch(plan: Plan, outline: Outline) -> Iterator[str]:
    if plan.settings.batch_norm != "train" or plan.settings.batch_size >= SMALL_BATCH:
        return
    moving = {index for phase in plan.phases for index, cell in enumerate(phase.cells[:-1]) if cell.trainable}
    for index in sorted(moving):
        if outline.stages[index].has_batch_norm:
            name, size = plan.stages[index], plan.settings.batch_size
            if size == 1:
                raise PlanError(
                    f"batch_size=1 with batch normalisation in {name}",
                    "one example has no variance",
                    "--set batch_norm=frozen, or a larger --batch-size",
                )
            yield f"batch normalisation in {name} takes its statistics from {size} examples: a larger --batch-size, or --set batch_norm=frozen"
            return


def edits_have_a_place(plan: Plan, outline: Outline) -> Iterator[str]:
    for phase in plan.phases:
        _head_is_whole(phase)
        for stage, cell in zip(outline.stages, phase.cells[:-1], strict=True):
            if isinstance(cell.edit, Statistics):
                raise PlanError(
                    f"{cell.edit.label} in {stage.name}", "it is a head, and stands in the head's cell alone", "--strategy statistics"
                )
            if getattr(cell.edit, "is_structural", False):
                raise PlanError(f"{cell.edit.label} in {stage.name}", "it changes the structure that the grid is drawn over, so it comes before the plan",  # type: ignore[union-attr]
                                f"--model '{outline.reference}+{cell.edit.kind}(...)', or regraft edit NAME")  # type: ignore[union-attr] # fmt: skip
            if cell.edit is not None and not stage.linears:
                raise PlanError(f"{cell.edit.label} in {stage.name}", f"{stage.name} has no linear layers", "choose other stages for it")
            if isinstance(cell.edit, Lora):
                yield from _lora_fits(cell.edit, stage)
            if cell.trainable and cell.only != "all":
                _kind_is_there(cell, stage, phase)


def _head_is_whole(phase: Phase) -> None:
    """What may stand in the head's cell is a head made of statistics, in a phase that is solved."""
    edit = phase.cells[-1].edit
    if edit is None:
        return
    if not isinstance(edit, Statistics):
        raise PlanError(f"{edit.label} in the head", "edits stand in the trunk; the head trains as it is", "leave it out")
    if phase.solver != "closed_form":
        raise PlanError(f"{edit.label} in phase {phase.name!r}", "a head made of statistics is solved, not stepped", "solver: closed_form")


def _lora_fits(edit: Lora, stage: StageOutline) -> Iterator[str]:
    try:
        chosen = set(select_modules([path for path, _, _ in stage.linears], edit.where))
    except RegraftError as error:
        raise PlanError(f"{edit.label} in {stage.name}", error.found, error.advice) from error
    smallest = min(min(into, out) for path, into, out in stage.linears if path in chosen)
    if edit.variant == "pissa" and edit.rank > smallest:
        raise PlanError(
            f"{edit.label} in {stage.name}", f"its smallest layer has only {smallest} principal directions", f"rank={smallest} or less"
        )
    if edit.variant != "ia3" and edit.rank > smallest:
        yield f"{edit.label} in {stage.name}: the rank is above the smallest layer's {smallest}, so it saves nothing there"


def _kind_is_there(cell: Cell, stage: StageOutline, phase: Phase) -> None:
    there = {"bias": stage.biases, "norm": stage.norms, "edit": cell.edit is not None}
    if not there[cell.only]:
        raise PlanError(
            f"{stage.name} training its {cell.only} alone in phase {phase.name!r}",
            f"{stage.name} has no {cell.only}",
            "freeze it there, or train all of it",
        )


def phases_follow_each_other(plan: Plan, outline: Outline) -> Iterator[str]:
    """Random weights are for all phases or none; an edit that a later phase does not name is merged there, if it can be."""
    if len({phase.fresh for phase in plan.phases}) > 1:
        raise PlanError(
            "random weights in some phases", "the others would go on from pretrained ones", "fresh: true in every phase, or in none"
        )
    if plan.phases[0].fresh:
        never = [name for row, name in enumerate(plan.stages) if not any(phase.cells[row].trainable for phase in plan.phases)]
        if never:
            yield f"{', '.join(never)} keep their random weights: frozen, and from scratch"
    for row, name in enumerate(plan.stages[:-1]):
        for before, after in pairwise(plan.phases):
            edit, now = before.cells[row].edit, after.cells[row].edit
            if edit is None or edit == now:
                continue
            if not edit.is_linear:
                raise PlanError(f"{name} with {edit.label} and then {now.label if now else 'nothing'} in phase {after.name!r}", "what it learned would be lost, as it cannot be merged",
                                "the same edit in every later phase, frozen if it shall rest")  # fmt: skip
            yield f"phase {after.name!r}: {edit.label} in {name} is merged into its weights, as the phase does not name it"


def what_is_random_learns(plan: Plan, outline: Outline) -> Iterator[str]:
    """Stages that no pretraining has seen: trained whole by gradient in some phase, and before a head is solved on them."""
    fresh = range(outline.lowest_fresh, len(outline.stages))
    taught = {row for phase in plan.phases for row in fresh if phase.cells[row].trainable and phase.cells[row].only == "all"}
    never = [plan.stages[row] for row in fresh if outline.stages[row].fresh and row not in taught]
    if never:
        yield f"{', '.join(never)} start from random weights and never learn: freeze(below={plan.stages[outline.lowest_fresh]}) trains them"
    elif fresh and plan.phases[0].solver == "closed_form":
        yield f"phase {plan.phases[0].name!r} solves a head on random features, as {plan.stages[outline.lowest_fresh]} has not learned yet"


CHECKS: tuple[Check, ...] = (
    names_can_be_typed,
    grid_fits_trunk,
    something_trains,
    closed_form_moves_the_head_alone,
    objectives_have_a_gradient,
    shares_add_up,
    warmup_ends,
    batch_norm_has_a_batch,
    edits_have_a_place,
    phases_follow_each_other,
    what_is_random_learns,
)
