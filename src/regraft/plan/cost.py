"""What a plan will cost, told before anything is spent, from the outline and a few facts about data and machine.

Operations are counted, not guessed: a forward pass of one example is 1, a backward pass 2, shared out over the stages by their
multiply-adds. With E epochs, n examples and a prefix of share p below the boundary:

    live     n E (1 + 2 (1 - p))
    cached   n p + n E 3 (1 - p)        the prefix once over all phases that one pass can serve (``plan.caching.shared``)
    solved   n p                        a closed form: the prefix (here everything) once, and the solver's own products

Time is operations over the rate that the machine showed on this very trunk, and the updates of what moves, step by step; before each
fit comes preflight, and a refit is a second fit. Memory is what the process holds already, weights, gradients, optimiser state and kept activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regraft.plan.caching import boundary_name, cached_below, computed_from, keeps, num_views
from regraft.plan.count import added, head_parameters, moving_in_phase
from regraft.plan.phase import Phase
from regraft.plan.plan import Plan
from regraft.trunk.outline import Outline, StageOutline

FP32_BYTES = 4
OPTIMIZER_STATES = {"adamw": 2, "sgd": 1}
PREFLIGHT_STEPS = 6
"""Steps that preflight takes in each phase that is trained by gradient, on a few examples each (train/preflight.py)."""
PREFLIGHT_EXAMPLES = 4
HASHED_BYTES_PER_S = 5e8
"""SHA-256 on an ordinary core: preflight reads all weights twice in each phase, the lineage what it stores once."""
STEP_S = 2e-3
"""What a step costs beside its operations: batches, the loop. Measured: 1 to 2 ms."""
LOGIT_COPIES = 3
"""Of a language model's logits: as they are said, in fp32, and as the loss keeps them."""
SOLVER_PASSES = 100
"""Products of features and head that L-BFGS takes to its optimum, its folds of cross-validation included: the order of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """``mean_length``: tokens or samples of a mean example; 0 for images. ``gflops``: floating-point operations in 1e9 per second
    that the machine shows on this trunk. ``update_ns``: nanoseconds that the update of one parameter takes. ``value_bytes``: of an activation in
    training; ``cache_value_bytes``: in the cache. ``start_s``: seconds before the first step (loading, decoding); ``start_bytes``: memory held by then.
    ``passes``: forwards and backwards in a step, more than one where an objective takes several; ``forwards``: those without a gradient beside them, through
    ``copies`` of the network; ``ahead``: forwards of one example that objectives take before the first step. ``settles``: does the task decide something
    on valid (thresholds)? ``controls``: how many runs as long as this one are trained beside it, to compare."""

    num_train: int
    num_valid: int = 0
    num_test: int = 0
    num_classes: int = 2
    mean_length: float = 0.0
    gflops: float = 50.0
    value_bytes: int = 4
    cache_value_bytes: int = 4
    update_ns: float = 0.0
    start_s: float = 0.0
    start_bytes: int = 0
    passes: float = 1
    forwards: float = 0
    copies: int = 0
    ahead: float = 0
    settles: bool = False
    controls: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCost:
    """Operations in floating-point operations; ``cache_bytes``: what this phase adds to the disk."""

    name: str
    epochs: float
    train_operations: float
    evaluation_operations: float
    live_operations: float
    steps_s: float
    preflight_s: float
    cache_bytes: int
    peak_memory_bytes: int
    trainable_parameters: int
    boundary: str
    cached: str

    def train_s(self, gflops: float) -> float:
        return self.train_operations / (gflops * 1e9) + self.steps_s

    def json(self, gflops: float) -> dict[str, Any]:
        return {
            "name": self.name,
            "epochs": self.epochs,
            "boundary": self.boundary,
            "cached": self.cached,
            "operations": self.train_operations,
            "operations_without_cache": self.live_operations,
            "time_s": self.train_s(gflops) + self.evaluation_operations / (gflops * 1e9),
            "cache_bytes": self.cache_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "trainable_parameters": self.trainable_parameters,
        }


def forecast(plan: Plan, outline: Outline, facts: Facts) -> dict[str, Any]:
    """The ``cost`` document: ``time_s train_s peak_memory_bytes parameters trainable_parameters stored_bytes cache phases``."""
    costs = [_phase(plan, at, outline, facts) for at in range(len(plan.phases))]
    ever = _ever_moving(plan, outline, facts)
    forward_s = sum(_operations(outline, facts)) / (facts.gflops * 1e9)
    train_s, around_s = _seconds(plan, costs, facts, ahead_s=facts.ahead * forward_s)
    stored_s = ever * FP32_BYTES / HASHED_BYTES_PER_S
    tested_s = facts.num_test * forward_s
    return {
        "time_s": facts.start_s + (1 + facts.controls) * (train_s + around_s + tested_s) + stored_s,
        "controls_s": facts.controls * (train_s + around_s + tested_s),
        "train_s": train_s,
        "peak_memory_bytes": facts.start_bytes + max((cost.peak_memory_bytes for cost in costs), default=0),
        "parameters": outline.parameters + _head(plan, outline, facts) + _added(plan, outline),
        "trainable_parameters": ever,
        "stored_bytes": ever * FP32_BYTES,
        "cache": {"bytes": sum(cost.cache_bytes for cost in costs), "boundaries": [cost.cached for cost in costs]},
        "phases": [cost.json(facts.gflops) for cost in costs],
    }


def _seconds(plan: Plan, costs: list[PhaseCost], facts: Facts, *, ahead_s: float) -> tuple[float, float]:
    """Seconds of training, and of preflight, valid and what objectives compute ahead (``ahead_s``) around it. A refit is one fit on both splits, with no valid left to measure; often
    there is one on train alone before it."""
    once = sum(cost.train_s(facts.gflops) for cost in costs)
    preflight = ahead_s + sum(cost.preflight_s for cost in costs)
    around = preflight + sum(cost.evaluation_operations for cost in costs) / (facts.gflops * 1e9)
    if not (plan.settings.refit and facts.num_valid and facts.num_train):
        return once, around
    both = once * (1 + facts.num_valid / facts.num_train)
    if not plan.settings.tried_first(has_test=facts.num_test > 0, settles=facts.settles):
        return both, preflight
    return once + both, around + preflight


def _phase(plan: Plan, at: int, outline: Outline, facts: Facts) -> PhaseCost:
    phase = plan.phases[at]
    below, above = _split_operations(phase, outline, facts)
    solved = phase.solver == "closed_form"
    cached = keeps(plan, at)
    start = computed_from(plan, at)
    anew = below - sum(_operations(outline, facts)[: min(start, phase.boundary)])
    epochs = 0.0 if solved else plan.settings.epochs * phase.epochs_fraction
    views = num_views(plan, phase)
    beside = facts.forwards if phase.boundary < len(outline.stages) else 0.0
    live = below * (epochs * (facts.passes + beside) or 1.0)
    prefix = anew * views if cached else live
    suffix = (
        SOLVER_PASSES * 3 * 2.0 * outline.width * facts.num_classes
        if solved
        else epochs * ((3 + plan.settings.gradient_checkpointing) * facts.passes + beside) * above
    )
    evaluations = epochs or 1.0
    moving = sum(moving_in_phase(phase, outline, facts.num_classes))
    update_s = moving * facts.update_ns * 1e-9 + STEP_S
    return PhaseCost(
        name=phase.name,
        epochs=epochs,
        train_operations=facts.num_train * (prefix + suffix),
        evaluation_operations=facts.num_valid * ((anew if cached else below * evaluations) + above * evaluations),
        live_operations=facts.num_train * (live + suffix),
        steps_s=0.0 if solved else epochs * -(-facts.num_train // plan.settings.batch_size) * update_s,
        preflight_s=0.0 if solved else _preflight_s(below + above, update_s, outline, facts),
        cache_bytes=_cache_bytes(phase, outline, facts, views) if cached and not _is_known(plan, at) else 0,
        peak_memory_bytes=_memory(plan, phase, outline, facts),
        trainable_parameters=moving,
        boundary=boundary_name(plan, phase),
        cached=cached_below(plan, at),
    )


def _preflight_s(forward: float, update_s: float, outline: Outline, facts: Facts) -> float:
    """``forward``: operations of one example's pass through everything; preflight knows no cache."""
    steps = PREFLIGHT_STEPS * (PREFLIGHT_EXAMPLES * 3 * forward / (facts.gflops * 1e9) + update_s)
    return steps + 2 * outline.parameters * FP32_BYTES / HASHED_BYTES_PER_S


def _length_scale(outline: Outline, facts: Facts) -> float:
    """How much longer than the outline's probe a mean example is."""
    return facts.mean_length / outline.probe_length if outline.probe_length and facts.mean_length else 1.0


def _split_operations(phase: Phase, outline: Outline, facts: Facts) -> tuple[float, float]:
    """Floating-point operations of one example's forward pass, below the boundary and from it up, the head with it."""
    per_stage = _operations(outline, facts)
    words = facts.mean_length if outline.own_head != "none" else 1.0
    head = 2.0 * (outline.decoder.macs if outline.decoder else outline.width * facts.num_classes * words)
    return sum(per_stage[: phase.boundary]), sum(per_stage[phase.boundary :]) + head


def _operations(outline: Outline, facts: Facts) -> list[float]:
    """Of each stage, floating-point operations of one example's forward pass."""
    return [2.0 * stage.macs * _length_scale(outline, facts) for stage in outline.stages]


def _is_known(plan: Plan, at: int) -> bool:
    """Has an earlier phase stored the same entries?"""
    low = plan.phases[at].boundary
    return any(phase.boundary == low for phase in plan.phases[:at]) and computed_from(plan, at) == low


def _cache_bytes(phase: Phase, outline: Outline, facts: Facts, views: int) -> int:
    """Disk for the values that enter the boundary; below the head alone they are pooled to one vector."""
    if phase.boundary >= len(outline.stages):
        values = float(outline.width)
    else:
        values = outline.stages[phase.boundary].entry_bytes / FP32_BYTES * _length_scale(outline, facts)
    return int(values * facts.cache_value_bytes * (facts.num_train * views + facts.num_valid))


def _memory(plan: Plan, phase: Phase, outline: Outline, facts: Facts) -> int:
    """Peak bytes beyond those held before: the network's weights; gradient and optimiser state of what moves; activations that the
    backward pass keeps, or, where all is frozen, the largest pair of stage values of a forward pass; the average of the weights where one is kept.
    Preflight needs no activations to speak of, but holds the weights that it will put back, and the state that it reads back, beside the present one."""
    moving = sum(moving_in_phase(phase, outline, facts.num_classes))
    states = 0 if phase.solver == "closed_form" else 1 + OPTIMIZER_STATES[plan.settings.optimizer]
    weights = outline.parameters + head_parameters(phase, outline, facts.num_classes) + sum(_added_in(phase, outline))
    average = moving if plan.settings.ema else 0
    scale = _length_scale(outline, facts) * facts.value_bytes / FP32_BYTES
    kept = _kept_bytes(plan, outline.stages[phase.boundary :])
    passing = 2 * max((stage.entry_bytes for stage in outline.stages), default=0)
    in_training = average * FP32_BYTES + plan.settings.batch_size * (scale * max(kept, passing) + _said_bytes(outline, facts))
    in_preflight = (1 + states) * moving * FP32_BYTES if states else 0
    return int(((1 + facts.copies) * weights + states * moving) * FP32_BYTES + max(in_training, in_preflight))


def _kept_bytes(plan: Plan, stages: Sequence[StageOutline]) -> int:
    """Of one example: what the backward pass through ``stages`` keeps, or, where they are computed again one by one, what enters them and the largest."""
    each = [stage.activation_bytes for stage in stages]
    if plan.settings.gradient_checkpointing:
        return sum(stage.entry_bytes for stage in stages) + max(each, default=0)
    return sum(each)


def _said_bytes(outline: Outline, facts: Facts) -> float:
    """Of one example: the logits at every place of a language model, and what their loss keeps of them; what a decoder and its loss keep."""
    if outline.decoder:
        return float(outline.decoder.activation_bytes)
    return LOGIT_COPIES * FP32_BYTES * facts.mean_length * facts.num_classes if outline.own_head != "none" else 0.0


def _added_in(phase: Phase, outline: Outline) -> tuple[int, ...]:
    return tuple(added(cell, stage) for cell, stage in zip(phase.cells[:-1], outline.stages, strict=True))


def _head(plan: Plan, outline: Outline, facts: Facts) -> int:
    return max((head_parameters(phase, outline, facts.num_classes) for phase in plan.phases), default=0)


def _added(plan: Plan, outline: Outline) -> int:
    per_phase = [_added_in(phase, outline) for phase in plan.phases]
    return sum(max(row) for row in zip(*per_phase, strict=True))


def _ever_moving(plan: Plan, outline: Outline, facts: Facts) -> int:
    """Parameters that move in any phase: what a generation stores beyond its parent."""
    per_phase = [moving_in_phase(phase, outline, facts.num_classes) for phase in plan.phases]
    return sum(max(row) for row in zip(*per_phase, strict=True))
