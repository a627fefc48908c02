"""Does compiling the stages that train pay within the run? Forecast before anything is spent, and said in the plan."""

from __future__ import annotations

from dataclasses import replace

from regraft.errors import PlanError
from regraft.plan.plan import Plan
from regraft.train.compiled import OFF, missing_compiler
from regraft.trunk.machine import Machine

SAVED = {"bert": 0.03}
"""Of a step's time, by the family of the trunk: measured for a sentence encoder on a processor that does little else (benchmarks/compiled.py; RESULTS.md); where others take
its caches it was a quarter. Of a residual network it was 4%, no more than the noise; what was not measured counts as nothing."""
FIRST_S, AGAIN_S = 60.0, 5.0
"""What the code of the first phase takes to be made, and that of each further one, whose blocks are alike."""
CLEARLY = 2.0
"""What is saved must be so many times what is spent."""


def decided(plan: Plan, machine: Machine, family: str) -> Plan:
    """``plan``, forecast already, with ``compile`` on or off and, where that was open and anything is trained step by step, the reason. ``family``: of the trunk.

    Raises ``PlanError`` where it is asked for and cannot be done.
    """
    settings = plan.settings
    phases = sum(phase.solver == "gradient" for phase in plan.phases)
    missing = missing_compiler(machine.device)
    if settings.compile == "on":
        if missing:
            raise PlanError("compile=on", missing, OFF)
        if settings.gradient_checkpointing:
            raise PlanError("compile=on with gradient_checkpointing=true", "what is computed again would have to be compiled with it", OFF)
    if settings.compile != "auto":
        return plan
    train_s, spent = float(plan.cost["train_s"]), FIRST_S + AGAIN_S * (phases - 1)
    saved = SAVED.get(family, 0.0) * train_s
    fits = machine.device == "cpu" and missing is None and not settings.gradient_checkpointing and not plan.objectives
    on = fits and phases > 0 and saved > CLEARLY * spent
    chosen = replace(plan, settings=replace(settings, compile="on" if on else "off"))
    if not phases or saved < spent:  # nothing that a person would miss
        return chosen
    told = f"it may save {saved:,.0f} s of {train_s:,.0f} s of training, and takes about {spent:,.0f} s"
    return chosen.because(f"compile {'on' if on else 'off'}: {missing or told}")
