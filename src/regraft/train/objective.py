"""The seam of objectives: what is minimised beside the task's loss, or in its place. Loop and step know none of them by name.

@objective
def l2_sp(*, strength: float = 0.01) -> Declared: ...      # train/objectives/l2_sp.py: options in, checked; nothing is spent

Declared.asks      what it needs that training cannot make by itself (a teacher's answers, examples); the conductor brings it
Declared.begin     Start (network, split, what was asked for) -> Term, once, before the first phase
Term               what it does in a run: a record of functions, each of them optional
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import entry_points
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, get_args, get_type_hints

import torch
from torch import Tensor, nn

from regraft.errors import PlanError, suggest
from regraft.plan.objective import Objective, Objectives, parse

if TYPE_CHECKING:
    from regraft.data.encode import Encoded
    from regraft.plan.plan import Plan
    from regraft.train.feed import Part
    from regraft.train.history import EpochRecord
    from regraft.train.run import Run
    from regraft.trunk.network import Network

GROUP = "regraft.objectives"
P = ParamSpec("P")
Losses = Callable[[Tensor, Tensor], Tensor]
"""(logits (B, k) float32, targets) -> (B,) one loss for each example; targets are indices (B,), or what the task trains on."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that an objective needs and training cannot make.

    ``what``: "logits", a teacher's answers for the training rows (``TeacherLogits``); "features", its pooled features behind ``stages``
    for them (stage -> (n, width) float32 array); "attention", where these stages of it look (stage -> (n, ``PLACES``)); "examples", a labelled split of its own (``Encoded``); "source_head", the classifier with which the trunk
    was pretrained (an ``nn.Module``: features (B, width) -> logits). ``of``: the generation, the data or the model, as typed.
    """

    what: Literal["logits", "features", "attention", "examples", "source_head"]
    of: str
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class TeacherLogits:
    """``logits`` (n, m) float32, row for row those of the training split; ``columns`` (m,): which of the network's classes they are of.
    A teacher that knows only some of the classes teaches these."""

    logits: Any
    columns: Any


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Start:
    """What a run begins with. ``network``: on its device, with the weights that the run starts from, no edit standing in it.
    ``asked``: what the conductor brought."""

    network: Network
    plan: Plan
    task: Any
    train: Encoded
    device: torch.device
    asked: Mapping[Ask, Any]

    def brought(self, ask: Ask) -> Any:
        if ask not in self.asked:
            raise PlanError(f"train with {ask.what} of {ask.of!r}", "they were not handed to the run",
                            'fit(..., data={"asked": {ask: ...}}), as rg.tune does')  # fmt: skip
        return self.asked[ask]

    def moving(self) -> dict[nn.Parameter, int]:
        """Every parameter of the network in a row of the grid that some phase trains -> that row."""
        rows = {row for phase in self.plan.phases for row, cell in enumerate(phase.cells) if cell.trainable}
        return {p: row for row in sorted(rows) for _, p in self.network.stage_parameters(row)}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Seen:
    """What a part of a batch shows. ``logits`` (B, k) float32; ``losses``: the task's, as the objectives have made them;
    ``features``: stage -> what left it, and "head" -> what entered it, for those asked for that lie above the boundary; ``again()``: logits of another
    forward, with other dropout. ``each`` (B, T), ``weights`` (T,): of several tasks, the loss of each example at each, and what it counts."""

    run: Run
    part: Part
    logits: Tensor
    losses: Losses
    features: Mapping[str, Tensor]
    again: Callable[[], Tensor]
    each: Tensor | None = None
    weights: Tensor | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Term:
    """What an objective does in a run.

    ``losses(losses) -> losses``: the task's loss of each example, changed or replaced.
    ``weights(run) -> (T,)``: what the loss of each of several tasks counts in this step; of several such terms the product. ``run.terms.tasks`` says what each
    of them costs in the batch.
    ``shares(seen) -> (B,)``: added for each example; the batch's mean of it is minimised, however the batch is cut.
    ``penalty(run) -> scalar``: added once for each step, on the parameters.
    ``around(run, gradients) -> loss``: goes about the making of the gradient; calls ``gradients()`` once or more.
    ``after_step(run)``, ``after_epoch(run, record)``: after an update; after an epoch with what was measured in it.
    ``state()``, ``load(state)``: what a resumed run cannot work out again, of tensors and plain values; they come in a pair.
    ``stages``: whose outputs ``shares`` reads; "head": what enters it. Of a frozen prefix there are none, cached or not: no gradient reaches it.
    ``parameters``: of its own, which the run's optimiser moves as it moves a head; ``state`` holds them.
    """

    losses: Callable[[Losses], Losses] | None = None
    weights: Callable[[Run], Tensor] | None = None
    shares: Callable[[Seen], Tensor] | None = None
    penalty: Callable[[Run], Tensor] | None = None
    around: Callable[[Run, Callable[[], Tensor]], Tensor] | None = None
    after_step: Callable[[Run], None] | None = None
    after_epoch: Callable[[Run, EpochRecord], None] | None = None
    state: Callable[[], Any] | None = None
    load: Callable[[Any], None] | None = None
    stages: tuple[str, ...] = ()
    parameters: tuple[nn.Parameter, ...] = ()


def _none(num_train: int) -> float:
    return 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Declared:
    """An objective with its options, checked. ``weighs``: does it do nothing but say what each of several tasks counts, so that without it they count the
    same? For the forecast: ``passes``, how many forwards and backwards a step takes; ``forwards``, how many without a gradient beside them, through
    ``copies`` of the network that are held; ``ahead``, of how many training examples there are -> forwards of one example before the first step."""

    begin: Callable[[Start], Term]
    asks: tuple[Ask, ...] = field(default=(), kw_only=True)
    passes: float = field(default=1, kw_only=True)
    forwards: float = field(default=0, kw_only=True)
    copies: int = field(default=0, kw_only=True)
    ahead: Callable[[int], float] = field(default=_none, kw_only=True)
    weighs: bool = field(default=False, kw_only=True)


Declare = Callable[..., Declared]
REGISTRY: dict[str, Declare] = {}
HANDED_OVER: dict[str, Declare] = {}
"""Functions that were handed over in this process and that no name leads to; nobody can type their words."""


def objective(function: Callable[P, Declared]) -> Callable[P, Declared]:
    """Register ``function(*, options) -> Declared`` under its name. Its annotations say what kind of value an option takes; with ``**options`` it takes
    options of any name."""
    name = function.__name__
    hints = {key: kind for key, kind in get_type_hints(function).items() if key != "return"}
    is_open = any(one.kind is Parameter.VAR_KEYWORD for one in signature(function).parameters.values())

    @wraps(function)
    def declare(*args: P.args, **kwargs: P.kwargs) -> Declared:
        for key, value in kwargs.items():
            if is_open:
                continue
            if key not in hints:
                raise PlanError(f"{name}({key}=...)", f"{name} has no such option", suggest(key, hints))
            _check_kind(name, key, value, hints[key])
        return function(*args, **kwargs)

    if name in REGISTRY:
        raise PlanError(f"register objective {name!r}", "an objective of that name is registered", "another name")
    REGISTRY[name] = declare
    return declare


def _check_kind(name: str, key: str, value: Any, kind: Any) -> None:
    if get_args(kind) and all(isinstance(each, str) for each in get_args(kind)):
        if value not in get_args(kind):
            raise PlanError(f"{name}({key}={value})", "no such choice", suggest(str(value), get_args(kind)))
        return
    wanted = {float: ((int, float), "a number"), int: ((int,), "a whole number"), str: ((str,), "a name"), bool: ((bool,), "True or False")}
    if kind in wanted and (not isinstance(value, wanted[kind][0]) or (isinstance(value, bool) and kind is not bool)):
        raise PlanError(f"{name}({key}={value!r})", f"{key} is {wanted[kind][1]}", f"{name}({key}=...)")


def require(holds: bool, asked: str, found: str) -> None:
    """Raise ``PlanError`` where an option does not lie where it must."""
    if not holds:
        raise PlanError(asked, found, f"{asked.partition('=')[0]}=...)")


def known_objectives() -> dict[str, Declare]:
    """Every objective that can be typed: those of the package, then those of installed entry points ``regraft.objectives``."""
    import regraft.train.objectives  # noqa: F401  fills the registry

    _load_installed()
    return REGISTRY


@cache
def _load_installed() -> None:
    for point in entry_points(group=GROUP):
        if point.name not in REGISTRY:
            REGISTRY[point.name] = point.load()


def declared(one: Objective) -> Declared:
    """What ``one`` is, its options checked. Raises ``PlanError`` with the nearest spelling."""
    registry, options = known_objectives(), dict(one.options)
    if declare := registry.get(one.name) or HANDED_OVER.get(one.name):
        return declare(**options)
    if not one.name.startswith("module:"):
        raise PlanError(f"objective {one.name!r}", "no objective of that name",
                        f"{suggest(one.name, registry)}; or module:package.function, a loss of your own")  # fmt: skip
    from regraft.train.objectives.own_loss import own_loss

    return own_loss(_found(one.name), options)


def _found(name: str) -> Callable[..., Any]:
    """The function that ``module:package.function`` names."""
    module_name, _, function_name = name.removeprefix("module:").rpartition(".")
    try:
        module = import_module(module_name) if module_name else None
    except ModuleNotFoundError as error:
        raise PlanError(f"objective {name!r}", str(error), "module:PACKAGE.FUNCTION, with the package on the Python path (PYTHONPATH=. for this folder)") from error  # fmt: skip
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")] if module else []
        raise PlanError(f"objective {name!r}", f"{module_name or name!r} has no function {function_name!r}", suggest(function_name, known))
    return function


def read(value: str | Objective | Callable[..., Any] | Iterable[Any] | None) -> Objectives:
    """Objectives in any form in which they are handed over: text, a record, a function ``(logits, targets) -> (B,)`` of one's own, or several."""
    if value is None or isinstance(value, str):
        return parse(value or "")
    if isinstance(value, Objective):
        return (value,)
    if callable(value):
        from regraft.train.objectives.own_loss import named

        return (named(value),)
    return tuple(one for each in value for one in read(each))


def check(objectives: Objectives) -> tuple[Declared, ...]:
    """Every one declared, so that a wrong name or option is known before anything is spent."""
    return tuple(declared(one) for one in objectives)
