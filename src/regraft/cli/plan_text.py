"""A plan for people: the grid, why, and what it will cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regraft.cli.console import bytes_text, seconds_text

if TYPE_CHECKING:
    from regraft.plan.plan import Plan


def plan_text(plan: Plan) -> str:
    from regraft.plan.explain import grid
    from regraft.trunk.outline import Outline

    sizes = ", ".join(f"{name} {count:,}" for name, count in plan.data["splits"].items())
    lines = [
        f"{plan.task}: {plan.data['outputs']}; {sizes}",
        *(f"  {sentence}" for sentence in plan.data["said"]),
        "",
        f"model {plan.model}, strategy {plan.strategy}",
        "",
        grid(plan, Outline.from_json(plan.data["outline"]), num_classes=len(plan.data["classes"])),
        "",
        *(f"- {reason}" for reason in plan.reasons),
        *(f"! {warning}" for warning in plan.warnings),
        "",
        cost_text(plan.cost),
    ]
    return "\n".join(lines)


def cost_text(cost: dict[str, Any]) -> str:
    parts = [
        f"time {seconds_text(cost['time_s'])}",
        f"memory {bytes_text(cost['peak_memory_bytes'])}",
        f"stored {bytes_text(cost['stored_bytes'])}",
        f"{cost['trainable_parameters']:,} parameters move",
    ]
    return "forecast: about " + ", ".join(parts)
