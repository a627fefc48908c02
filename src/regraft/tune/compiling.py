"""Can what a plan wants compiled be compiled here? Said before anything is spent.

Nothing is compiled unasked: on processors it saved from nothing to a quarter of a step, and lost as much where neither memory nor dropout held a step back (RESULTS.md).
"""

from __future__ import annotations

from regraft.errors import PlanError
from regraft.plan.plan import Plan
from regraft.train.compiled import OFF, missing_compiler


def check(plan: Plan, device: str) -> None:
    """Raises ``PlanError`` where it is asked for and cannot be done on ``device``."""
    if not plan.settings.compile:
        return
    if missing := missing_compiler(device):
        raise PlanError("compile=true", missing, OFF)
    if plan.settings.gradient_checkpointing:
        raise PlanError("compile=true with gradient_checkpointing=true", "what is computed again would have to be compiled with it", OFF)
