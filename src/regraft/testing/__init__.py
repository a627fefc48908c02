"""The public conformance kit: the laws of Regraft, to be run over whatever you register.

    from regraft import testing

    testing.check_family(build_small_host, examples, view=my_family)     a family: model -> stages
    testing.check_edits(MyEdit(width=4), MyEdit(width=8))                edits
    testing.check_strategy(my_strategy(n=2))                             a strategy
    testing.check_objective("my_objective(weight=0.5)")                  an objective
    testing.check_task(MY_TASK)                                          a task

Each law is a function of its own (``LAWS``). All raise ``AssertionError`` with a sentence that says what does not hold, and
return how many cases they looked at. Names are loaded when first used, so that small hosts can be rebuilt without training.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regraft.testing.examples import Examples, frames, images, sentences, waves
    from regraft.testing.hosts import HOSTS, Host
    from regraft.testing.kit import LAWS, check_edits, check_family, check_strategy
    from regraft.testing.model_laws import check_cached, check_view
    from regraft.testing.objective_laws import check_objective
    from regraft.testing.parity import check_parity, plain_loop
    from regraft.testing.plan_laws import check_plan
    from regraft.testing.planning import toy_plan
    from regraft.testing.round_trip import Stored, check_round_trip
    from regraft.testing.surgery_laws import check_identity, check_merge, stage_for
    from regraft.testing.task_laws import check_task
    from regraft.testing.toy import ToyTrunk, toy_network
    from regraft.testing.training_laws import (
        check_cached_training,
        check_digest,
        check_frozen,
        check_groups,
        check_learns,
        check_unfreezing,
    )

PLACES = {
    "Examples": "examples", "frames": "examples", "images": "examples", "sentences": "examples", "waves": "examples",
    "HOSTS": "hosts", "Host": "hosts", "LAWS": "kit", "check_edits": "kit", "check_family": "kit", "check_strategy": "kit", "check_objective": "objective_laws", "check_task": "task_laws", "check_cached_training": "training_laws",
    "check_cached": "model_laws", "check_view": "model_laws", "check_parity": "parity", "plain_loop": "parity",
    "check_plan": "plan_laws", "Stored": "round_trip", "check_round_trip": "round_trip", "check_identity": "surgery_laws",
    "check_merge": "surgery_laws", "stage_for": "surgery_laws", "ToyTrunk": "toy", "toy_network": "toy", "toy_plan": "planning",
    "check_digest": "training_laws", "check_frozen": "training_laws", "check_groups": "training_laws", "check_learns": "training_laws",
    "check_unfreezing": "training_laws",
}  # fmt: skip

__all__ = [
    "HOSTS", "LAWS", "Examples", "Host", "Stored", "ToyTrunk", "check_cached", "check_cached_training", "check_digest", "check_edits", "check_family", "check_frozen",
    "check_groups", "check_identity", "check_learns", "check_merge", "check_objective", "check_parity", "check_plan", "check_round_trip", "check_strategy", "check_task",
    "check_unfreezing", "check_view", "frames", "images", "plain_loop", "sentences", "stage_for", "toy_network", "toy_plan", "waves",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
