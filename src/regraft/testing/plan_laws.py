"""Law 9: a plan survives being written down, as JSON and as a recipe, and is explained in the same words each time."""

from __future__ import annotations

import json
from dataclasses import replace

from regraft.plan import explain, recipe
from regraft.plan.check import check
from regraft.plan.plan import Plan
from regraft.testing.law import law
from regraft.trunk.outline import Outline


def check_plan(plan: Plan, outline: Outline) -> int:
    """Law 9, and that ``plan`` is one for ``outline`` at all; returns the number of phases."""
    check(plan, outline)
    again = Plan.from_json(json.loads(json.dumps(plan.json())))
    law(again == plan, f"{plan.strategy}: as JSON and back it is another plan")
    text = recipe.write(plan)
    law(recipe.load(text) == replace(plan, data={}), f"{plan.strategy}: as a recipe and back it is another plan")
    law(recipe.write(recipe.load(text)) == text, f"{plan.strategy}: written twice, the recipe differs")
    law(again.digest == plan.digest, f"{plan.strategy}: two equal plans have two digests")
    words = [explain.grid(each, outline, num_classes=3) for each in (plan, again, recipe.load(text))]
    law(len(set(words)) == 1, f"{plan.strategy}: equal plans are explained differently")
    return len(plan.phases)
