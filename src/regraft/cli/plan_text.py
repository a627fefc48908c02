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
        grid(plan, Outline.from_json(plan.data["outline"]), num_classes=plan.data.get("num_outputs", len(plan.data["classes"]))),
        "",
        *example_lines(plan.data),
        *(f"- {reason}" for reason in plan.reasons),
        *(f"! {warning}" for warning in plan.warnings),
        "",
        cost_text(plan.cost),
    ]
    return "\n".join(lines)


def example_lines(data: dict[str, Any]) -> list[str]:
    """One example as a language model reads it, what is learned of it between marks."""
    if "example" not in data:
        return []
    text = "".join(f"⟦{clipped(piece)}⟧" if learned else clipped(piece) for piece, learned in data["example"])
    return [f"an example by {data['template']}; what stands in ⟦ ⟧ is learned:", *(f"  | {line}" for line in text.splitlines()), ""]


def clipped(piece: str, most: int = 400) -> str:
    """``piece`` without its middle, where it is long."""
    return piece if len(piece) <= most else f"{piece[: most // 2]} [...] {piece[-most // 2 :]}"


def cost_text(cost: dict[str, Any]) -> str:
    parts = [
        f"time {seconds_text(cost['time_s'])}",
        f"memory {bytes_text(cost['peak_memory_bytes'])}",
        f"stored {bytes_text(cost['stored_bytes'])}",
        f"{cost['trainable_parameters']:,} parameters move",
    ]
    return "forecast: about " + ", ".join(parts)
