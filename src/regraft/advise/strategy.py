"""From facts to a strategy and settings, each with the sentence that says why. Published rules are the prior; evidence overrules.

examples, classes ---+
machine, outline ----+--> strategy --> rate --> epochs, batch, regularisation --> Advice
probe (if any) ------+
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regraft.advise import priors
from regraft.advise.facts import Facts
from regraft.advise.probe import ProbeResult
from regraft.advise.rate import rate, round_rate
from regraft.plan.phase import Phase, last_by_gradient
from regraft.plan.settings import Settings
from regraft.plan.strategy import Strategy, parse
from regraft.trunk.outline import Outline


@dataclass(frozen=True, slots=True)
class Advice:
    """``strategy`` as a person would type it; ``settings``; ``reasons``: plain sentences, the strategy's first."""

    strategy: str
    settings: Settings
    reasons: tuple[str, ...]


def choose(facts: Facts, outline: Outline, *, probe: ProbeResult | None = None, strategy: Strategy | None = None, seed: int = 0) -> Advice:
    """The plan's strategy and settings for these ``facts``. With a ``strategy`` given only the settings are chosen, to fit it."""
    reasons: list[str] = []
    if strategy is None:
        text, why = _strategy(facts, outline, probe)
        epochs, _ = _epochs(facts, outline, (), probe)
        text, limit = _within_time(text, facts, outline, epochs)
        strategy = parse(text)
        reasons = [why, *_probe_says(facts, probe), *limit]
    phases = strategy(outline)
    settings, more = _settings(facts, outline, phases, probe, seed)
    return Advice(strategy.text, settings, (*reasons, *more))


def _strategy(facts: Facts, outline: Outline, probe: ProbeResult | None) -> tuple[str, str]:
    if facts.learns:
        return _of_words(outline)
    if outline.is_partly_fresh:
        name = outline.stages[outline.lowest_fresh].name
        return "gradual_unfreezing", (
            f"gradual_unfreezing: the stages from {name} on start from random weights and learn first, on pretrained ones that stay as they are; "
            "then all learn together"
        )
    if probe is not None and probe.cv_accuracy.low >= priors.CEILING:
        left = 100 * (1 - probe.cv_accuracy.value)
        return (
            "linear_probe",
            f"linear_probe: the frozen features leave {left:.1f} points to gain; training the trunk is not worth its cost",
        )
    if probe is not None and probe.cv_accuracy.high <= facts.majority_fraction:
        return (
            "full",
            f"full: a probe on the frozen features knows no more than always naming the largest class; all of the trunk has to move ({facts})",
        )
    if facts.per_class <= priors.FEW_PER_CLASS and facts.solvable:
        return "linear_probe", f"linear_probe: {facts}; that is too little to move a trunk by"
    if facts.num_examples > priors.FULL_FROM:
        return "full", f"full: {facts}; from {priors.FULL_FROM:,} on, tuning everything at once is the published rule"
    if not facts.solvable:
        return "full", f"full: {facts}; this task has no head that is solved first, and all of the trunk is tuned at once"
    if facts.kind == "image" and _learns_statistics(facts, outline):
        return (
            "full",
            f"full: {facts}; batch norm learns the statistics of the new data, and a head that is solved on the old ones would not fit them",
        )
    return "lp_ft", (
        f"lp_ft: {facts}; below {priors.FULL_FROM:,}, a head that is solved first keeps the tuning that follows from "
        "distorting the features (Kumar et al. 2022)"
    )


def _of_words(outline: Outline) -> tuple[str, str]:
    """For a language model that learns what to say."""
    linear = sum(into * out for stage in outline.stages for _, into, out in stage.linears)  # quantised, they are no parameters
    weights = max(outline.parameters, linear)
    size = f"{weights / 1e6:,.0f} million parameters"
    if weights < priors.LORA_FROM:
        return "full", f"full: a model of {size} is small enough to move as a whole"
    return "lora(rank=16, alpha=32)", (
        f"lora(rank=16, alpha=32): on every linear layer of a model of {size}; that learns instructions as full tuning does (Schulman 2025), without a gradient "
        "and two moments for each parameter"
    )


def _probe_says(facts: Facts, probe: ProbeResult | None) -> list[str]:
    if probe is None:
        return []
    chance = f"{100 * facts.majority_fraction:.1f}%"
    return [
        f"a linear probe on the frozen features is right on {probe.cv_accuracy} of held-out examples (always the largest class: {chance})"
    ]


def _within_time(text: str, facts: Facts, outline: Outline, epochs: float) -> tuple[str, list[str]]:
    """``text``, with the lower stages frozen where all of them would train longer than ``priors.LONGEST_S`` on this machine."""
    macs = [stage.macs for stage in outline.stages]
    if text == "linear_probe" or not facts.macs_per_s or _train_s(facts, outline, epochs, 0) <= priors.LONGEST_S:
        return text, []
    highest = min(len(macs) - priors.SHORTEST_TOP, outline.lowest_fresh)
    boundary = next((b for b in range(1, highest) if _train_s(facts, outline, epochs, b) <= priors.LONGEST_S), highest)
    name = outline.stages[boundary].name
    before, after = (_hours(_train_s(facts, outline, epochs, b)) for b in (0, boundary))
    reason = f"the stages below {name} stay frozen and are computed once: {after} of training on this machine instead of {before}"
    return f"{text}+freeze(below={name})", [reason]


def _train_s(facts: Facts, outline: Outline, epochs: float, boundary: int) -> float:
    """Seconds: what is below ``boundary`` runs forward once, what is above runs forward and twice that backward in every epoch."""
    macs = [stage.macs for stage in outline.stages]
    length = facts.mean_length / outline.probe_length if facts.mean_length and outline.probe_length else 1.0
    example = length * (sum(macs[:boundary]) + 3 * epochs * sum(macs[boundary:]))
    return facts.num_examples * example / facts.macs_per_s


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours"


def _epochs(facts: Facts, outline: Outline, phases: Sequence[Phase], probe: ProbeResult | None) -> tuple[float, str]:
    epochs = priors.by_size(priors.EPOCHS[_row(facts, phases)], facts.num_examples)
    usual = f"a starting point for {facts.num_examples:,} examples"
    if outline.is_partly_fresh or any(phase.fresh for phase in phases):
        return epochs * priors.SCRATCH_EPOCHS_FACTOR, usual
    if facts.kind == "image" and probe is not None and probe.cv_accuracy.low >= priors.KNOWN:
        return round(epochs * priors.KNOWN_EPOCHS_FACTOR), f"a third of {usual}: the features leave little to learn"
    return epochs, usual


def _row(facts: Facts, phases: Sequence[Phase]) -> str:
    """The row of ``priors.EPOCHS``."""
    if facts.learns:
        return "words"
    if facts.kind != "text":
        return "image"
    return "text, head solved first" if _head_first(phases) else "text"


def _head_first(phases: Sequence[Phase]) -> bool:
    """Is the head solved right before the last phase that takes steps?"""
    last = last_by_gradient(phases)
    return last > 0 and phases[last - 1].solver == "closed_form"


def _settings(facts: Facts, outline: Outline, phases: Sequence[Phase], probe: ProbeResult | None, seed: int) -> tuple[Settings, list[str]]:
    """Settings for a grid that stands, and a sentence for each that is not simply the default."""
    if all(phase.solver == "closed_form" for phase in phases):
        # no step is taken: no rate, epoch or augmentation to speak of
        return Settings(seed=seed, refit=_worth_a_refit(facts)), _refit_reason(facts)
    has_batch_norm = outline.has_batch_norm
    few = has_batch_norm and not _learns_statistics(facts, outline) and not any(phase.fresh for phase in phases)
    lr, lr_reason = rate(outline, phases, keeps_statistics=few)
    if facts.learns == "preference":
        lr, lr_reason = (
            round_rate(priors.PREFERENCE_FACTOR * lr),
            f"lr {priors.PREFERENCE_FACTOR:g} times what conversations take, as preferences move a model fast: {lr_reason}",
        )
    epochs, epochs_reason = _epochs(facts, outline, phases, probe)
    batch_size = priors.by_size(priors.BATCH_SIZES, facts.num_examples)
    steps = round(epochs * facts.num_examples / batch_size)
    reasons = [lr_reason, f"{epochs:g} epochs in batches of {batch_size}: about {steps:,} steps, {epochs_reason}"]
    smoothing = priors.by_size(priors.LABEL_SMOOTHING["text" if facts.kind == "text" else "image"], facts.num_classes)
    if smoothing:
        reasons.append(f"label smoothing {smoothing:g}: a starting point for {facts.num_classes} classes, not measured on this data")
    if has_batch_norm:
        reasons.append(_batch_norm_reason(facts, phases, few))
    augment = _augmentation(facts)
    if augment and facts.kind == "image":
        reasons.append(_augmentation_reason(facts, augment))
    reasons += _refit_reason(facts)
    between = priors.by_size(priors.WISE_FT, facts.num_examples) if _may_blend(facts, phases, has_batch_norm and not few) else 1.0
    if between < 1:
        reasons.append(f"wise_ft {between:g}: the result lies midway between where tuning began and where it ended (Wortsman et al. 2021), "
                       "a starting point for few examples, not measured on this data")  # fmt: skip
    settings = Settings(
        epochs=epochs, lr=lr, batch_size=batch_size, label_smoothing=smoothing, augment=augment, refit=_worth_a_refit(facts), seed=seed,
        batch_norm="frozen" if few else "train", wise_ft=between,
    )  # fmt: skip
    return settings, reasons


def _augmentation(facts: Facts) -> priors.Augmentation:
    table = priors.AUGMENTATION_OF_LARGE if _shows_windows(facts) else priors.AUGMENTATION
    return tuple(one for one in table.get(facts.kind, ()) if one[0] != "flip" or not facts.mirror_loss)


def _shows_windows(facts: Facts) -> bool:
    return facts.oversize >= priors.LARGE_FROM and facts.num_examples > priors.WINDOWS_FROM


def _augmentation_reason(facts: Facts, augment: priors.Augmentation) -> str:
    names = ", ".join(name for name, _ in augment)
    if facts.mirror_loss:
        lost = f"{100 * facts.mirror_loss:.1f}"
        return f"augmentation {names}, not flip: of mirrored images a head on frozen features names {lost} points fewer right, so left and right mean something"
    if _shows_windows(facts):
        return f"augmentation {names}: the images are {facts.oversize:.1f} times as large as the model's input, so parts of them can be shown at other scales"
    return f"augmentation {names}: what shifts or mirrors an image leaves its class as it is"


def _learns_statistics(facts: Facts, outline: Outline) -> bool:
    return outline.has_batch_norm and facts.num_examples > priors.FROZEN_STATISTICS_UP_TO


def _worth_a_refit(facts: Facts) -> bool:
    return not facts.has_valid and facts.num_examples <= priors.REFIT_UP_TO


def _refit_reason(facts: Facts) -> list[str]:
    return [
        "refit: the examples set aside as valid are few and worth learning from, so the model that is kept has trained on them too; test measures it"
    ] * _worth_a_refit(facts)


def _may_blend(facts: Facts, phases: Sequence[Phase], learns_statistics: bool) -> bool:
    """Is the middle between the last phase's two ends a network that makes sense? It is where the head was solved before, whole weights
    move (the product of two halves of an edit is no half), batch norm keeps one set of statistics, and the first of the two ends is as
    good as pretraining left it: what surgery has cut has to learn its way back first."""
    whole = all(cell.edit is None for cell in phases[last_by_gradient(phases)].cells)
    return _head_first(phases) and whole and not learns_statistics and not facts.altered


def _batch_norm_reason(facts: Facts, phases: Sequence[Phase], few: bool) -> str:
    if few:
        return f"batch norm keeps the statistics of pretraining: {facts.num_examples:,} examples are too few to estimate them anew"
    why = (
        "random weights have none to keep"
        if any(phase.fresh for phase in phases)
        else f"{facts.num_examples:,} examples are enough for that"
    )
    return f"batch norm in training stages learns the statistics of the new data: {why}"
