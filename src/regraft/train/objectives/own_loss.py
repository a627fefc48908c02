"""A loss of one's own in the task's place: any function ``(logits (B, k), targets) -> (B,)``, one loss for each example.

    rg.tune("tickets.csv", objective=my_loss)                                  # a function, a lambda, nn.CrossEntropyLoss(reduction="none")
    regraft tune tickets.csv --objective "module:losses.my_loss(gamma=2)"      # options are handed on

One for each example, because the mean is taken over the whole effective batch, however it is cut.
"""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from regraft import digest
from regraft.errors import PlanError
from regraft.plan.objective import Objective
from regraft.train.objective import HANDED_OVER, Declared, Losses, Start, Term

Function = Callable[..., Tensor]


def own_loss(function: Function, options: Mapping[str, Any]) -> Declared:
    """``function`` with ``options``, as an objective."""

    def losses(logits: Tensor, targets: Tensor) -> Tensor:
        found = function(logits, targets, **options)
        if not isinstance(found, Tensor) or found.shape != logits.shape[:1]:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise PlanError(f"the loss {_name(function)} of {len(logits)} examples", f"it returns {shape}",
                            f"a tensor ({len(logits)},), one loss for each example: reduction='none' in torch's own")  # fmt: skip
        return found.float()

    return Declared(lambda start: _term(start, losses))


def named(function: Function) -> Objective:
    """The name under which ``function`` stands in a plan: ``module:package.function`` where that leads to it, else one for this process."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if name and getattr(sys.modules.get(module), name, None) is function:
        return Objective(f"module:{module}.{name}")
    word = f"{_name(function)}_{_digest(function)[:8]}"
    HANDED_OVER[word] = lambda **options: own_loss(function, options)
    return Objective(word)


def _term(start: Start, losses: Losses) -> Term:
    return Term(losses=lambda inner: losses)


def _name(function: Any) -> str:
    inner = function.func if isinstance(function, partial) else function
    return re.sub(r"\W", "", getattr(inner, "__name__", type(inner).__name__).replace("<lambda>", "")) or "own_loss"


def _digest(function: Any) -> str:
    """Equal for equal code or, of an object, equal content; what a closure holds is not looked at."""
    code = getattr(function, "__code__", None)
    if code is not None:
        return digest.of_bytes(code.co_code + repr((code.co_consts, code.co_names)).encode())
    try:
        return digest.of_bytes(pickle.dumps(function))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise PlanError(f"the loss {_name(function)}", f"it cannot be told from others ({error})", "a function of a module") from error
