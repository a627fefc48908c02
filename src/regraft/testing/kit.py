"""Every law over one thing that you registered: a family, an edit or a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from regraft.data.encode import Encoded, prepare
from regraft.plan.strategy import Strategy, parse
from regraft.surgery.edits import apply
from regraft.surgery.heads import strip
from regraft.surgery.specs import Adapter, Edit, Lora
from regraft.testing.examples import images
from regraft.testing.law import law
from regraft.testing.model_laws import check_cached, check_view
from regraft.testing.parity import check_parity
from regraft.testing.plan_laws import check_plan
from regraft.testing.planning import toy_plan
from regraft.testing.round_trip import Stored, check_round_trip
from regraft.testing.surgery_laws import check_identity, check_merge, keeps_function, stage_for
from regraft.testing.toy import task_for, toy_network, with_head
from regraft.testing.training_laws import check_cached_training, check_digest, check_frozen, check_groups, check_learns, check_unfreezing
from regraft.trunk.families import View
from regraft.trunk.measure import measure
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk

LAWS: dict[int, tuple[Callable[..., Any], ...]] = {
    1: (check_view,),
    2: (check_identity,),
    3: (check_frozen,),
    4: (check_cached, check_cached_training),
    5: (check_merge,),
    6: (check_groups,),
    7: (check_digest,),
    8: (check_round_trip,),
    9: (check_plan,),
    10: (check_learns,),
    11: (check_parity,),
    12: (check_unfreezing,),
}
"""The number of each law in DESIGN 7 -> what checks it."""

EDITS: tuple[Edit, ...] = (Lora(rank=2), Adapter(width=4))
ROWS = 3


def check_family(
    build: Callable[[], nn.Module], examples: Callable[..., Encoded], *, view: View = Trunk.of, edits: Sequence[Edit] = EDITS
) -> dict[str, int]:
    """Laws 1 to 6 over a small model of a family.

    ``build``: the model with random weights. ``examples(n)``: a learnable split of three classes for it, as ``testing.images`` makes
    one. ``view``: the family's function; by default what is registered. ``edits``: at least one of them must find a place in the model.
    """
    make = partial(_network, build, view)
    network = make(keep=True)
    inputs = prepare(examples(ROWS).batch(np.arange(ROWS)), network.trunk.input)
    counts = {"stages": check_view(network.trunk, inputs)}
    network = make()
    counts["boundaries"] = check_cached(network, inputs)
    law(counts["boundaries"] > 0, f"{type(network.host).__name__}: no boundary of it can be cached")
    counts["edits"] = sum(_edited(make, edit, inputs) for edit in edits)
    law(counts["edits"] > 0 or not edits, f"{type(network.host).__name__}: none of {', '.join(e.label for e in edits)} has a place in it")
    plan = toy_plan("top(n=1)", network, outline=measure(network.trunk, probe_length=_length(network.trunk)), epochs=1.0, batch_size=4)
    counts["frozen"] = check_frozen(make, plan, examples(8))
    counts["groups"] = check_groups(make, plan)
    return counts


def check_edits(*edits: Edit, make: Callable[[], Network] = toy_network, examples: Callable[..., Encoded] = images) -> dict[str, int]:
    """Laws 2 (of those that keep the function), 5 and 8 of each edit, in the last stage of the toy (or of what ``make`` makes) that takes it;
    how often each was looked at."""
    inputs = prepare(examples(ROWS).batch(np.arange(ROWS)), make().trunk.input)
    cases, identical, merged = {}, 0, 0
    for edit in edits:
        network = make()
        last = stage_for(network, edit)
        if last is None:
            raise AssertionError(f"{edit.label} has no place in {type(network.host).__name__}")
        if keeps_function(edit):
            check_identity(network, last, edit, inputs)
            identical += 1
        merged += check_merge(make(), last, edit, inputs)
        network = make()
        record = apply(network, last, edit)
        cases[repr(edit)] = Stored(network=network, task=task_for(network.trunk), inputs=inputs, edits=[record])
    return {"identity": identical, "merged": merged, "round_trip": check_round_trip(cases)}


def check_strategy(strategy: Strategy | str) -> dict[str, Any]:
    """Laws 3, 4, 6, 7 and 9 to 12 of a strategy, on the toy; also where it is followed by gradual unfreezing, for the phases of that."""
    made = parse(strategy) if isinstance(strategy, str) else strategy
    outline = measure(toy_network().trunk)
    make, train = toy_network, images(48)
    short = toy_plan(made, make(), outline=outline, epochs=2.0)
    long = toy_plan(made, make(), outline=outline, epochs=8.0, warmup_fraction=0.1, lr=2e-2)
    still = partial(toy_network, dropout=0.0)
    unfreezing = toy_plan(made + parse("gradual_unfreezing(every=2)"), make(), outline=outline)
    return {
        "phases": check_plan(short, outline),
        "frozen": check_frozen(make, short, train),
        "groups": check_groups(make, short),
        "digest": check_digest(make, short, train),
        "cached": check_cached_training(still, short, train),
        "learned": check_learns(make, long, images(160, seed=1), images(150, seed=2)),
        "parity": check_parity(still, short, train),
        "carried": check_unfreezing(make, unfreezing),
    }


def _network(build: Callable[[], nn.Module], view: View, *, keep: bool = False) -> Network:
    """A network of a fresh model; the same numbers each time. ``keep``: with the model's own classifier in place."""
    torch.manual_seed(0)
    trunk = view(build())
    if trunk is None:
        raise AssertionError("the family does not know the model that was built")
    if not keep:
        strip(trunk)
    return with_head(trunk)


def _edited(make: Callable[[], Network], edit: Edit, inputs: Mapping[str, torch.Tensor]) -> int:
    network = make()
    index = stage_for(network, edit)
    if index is None:
        return 0
    if keeps_function(edit):
        check_identity(network, index, edit, inputs)
    check_merge(network, index, edit, inputs)
    return 1


def _length(trunk: Trunk) -> int:
    return 0 if trunk.input.kind == "image" else {"text": 8, "audio": 800}.get(trunk.input.kind, 0)
