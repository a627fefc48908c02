"""Edits of a model's structure as frozen specs: made before anything trains, recorded in the lineage. Free of torch.

    drop       take a stage out                                    lossy
    insert     stand a module behind a stage                       starts as the identity
    replace    another activation, norm, pooling, head or block    lossy (a fresh mlp head is not)
    prune      take out inner channels or attention heads          lossy
    widen      more inner channels (Net2Net, 1511.05641)           keeps the function
    deepen     one more stage of the same kind (Net2Net)           keeps the function
    quantize   linear weights in four bits (QLoRA, 2305.14314)     lossy

``keeps_function``: does the model compute the same right after? Each is applied to one stage at a time (``surgery.edits.apply``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from regraft.errors import RequestError

Inserted = Literal["se", "adapter", "block", "dropout"]
Activation = Literal["", "relu", "gelu", "silu", "tanh", "hardswish", "leaky_relu", "mish"]
Norm = Literal["", "layer", "rms", "group"]
Pool = Literal["", "mean", "first", "last", "avg", "max"]
HeadKind = Literal["", "linear", "mlp"]
Inner = Literal["channels", "heads"]
Criterion = Literal["l1", "l2"]
Levels = Literal["nf4", "fp4"]
Linears = tuple[tuple[str, int, int], ...]


def within(kind: str, key: str, value: object, holds: bool, wanted: str) -> None:
    """Raise ``RequestError`` where a setting of an edit is not what it may be."""
    if not holds:
        raise RequestError(f"{kind}({key}={value})", f"{key} is {wanted}", f"{kind}({key}=...)")


def one_of(kind: str, key: str, value: object, choices: object) -> None:
    words = [word for word in get_args(choices) if word]
    within(kind, key, value, value in get_args(choices), f"one of {', '.join(words)}")


class Structural:
    """What structural edits have in common: they stand in no cell of a plan, and no weights take them up."""

    __slots__ = ()
    is_structural = True
    is_linear = False

    def added_parameters(self, linears: Linears) -> int:
        """A plan never asks: its outline is measured after surgery."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Structural):
    """Take the stage out of the host's list of blocks; later stages move up, and the host's configuration counts one block less."""

    kind = "drop"
    label = "drop"
    keeps_function = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert(Structural):
    """Stand a module behind the stage.

    ``module``: "se" (squeeze-and-excitation, 1709.01507; pixels only), "adapter" (a bottleneck, 1902.00751), "block" (a copy of the
    stage's block, let in by a gate that starts closed) or "dropout". ``width``: of what is inside; 0: a quarter of the stage's.
    ``p``: of dropout.
    """

    module: Inserted
    width: int = 0
    p: float = 0.1
    kind = "insert"
    keeps_function = True

    def __post_init__(self) -> None:
        one_of("insert", "module", self.module, Inserted)
        within("insert", "width", self.width, self.width >= 0, "1 or more, or 0 for a quarter of the stage's")
        within("insert", "p", self.p, 0 <= self.p < 1, "from 0 to below 1")

    @property
    def label(self) -> str:
        return f"insert {self.module}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace(Structural):
    """Replace one kind of thing: exactly one of the settings is given.

    ``activation`` and ``norm``: of every such module in the stage; norms keep their scale (and shift, where the new one has it).
    ``pooling``: in the head row how tokens ("mean", "first", "last") or maps ("avg", "max") become one vector; in a stage its pooling layers.
    ``head``: in the head row, "linear" for a fresh one, "mlp" for a residual layer before the linear one, closed at first.
    ``block``: the name of a stage of which this one becomes a copy, or "fresh" for new random weights.
    """

    activation: Activation = ""
    norm: Norm = ""
    pooling: Pool = ""
    head: HeadKind = ""
    block: str = ""
    kind = "replace"

    def __post_init__(self) -> None:
        given = [name for name in ("activation", "norm", "pooling", "head", "block") if getattr(self, name)]
        if len(given) != 1:
            raise RequestError(f"replace({', '.join(given)})", "one thing is replaced at a time",
                               "replace(activation=relu), replace(norm=rms), replace(pooling=first), replace(head=mlp) or replace(block=fresh)")  # fmt: skip
        for name, choices in (("activation", Activation), ("norm", Norm), ("pooling", Pool), ("head", HeadKind)):
            one_of("replace", name, getattr(self, name), choices)

    @property
    def what(self) -> str:
        return next(name for name in ("activation", "norm", "pooling", "head", "block") if getattr(self, name))

    @property
    def label(self) -> str:
        return f"replace {self.what} by {getattr(self, self.what)}"

    @property
    def keeps_function(self) -> bool:
        return self.head == "mlp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune(Structural):
    """Take out the share ``amount`` of the stage's inner units, those of smallest norm (1608.08710): "channels" between two layers of a
    block, or whole attention "heads" (1905.10650). What enters and leaves the stage keeps its size."""

    what: Inner = "channels"
    amount: float = 0.25
    criterion: Criterion = "l1"
    kind = "prune"
    keeps_function = False

    def __post_init__(self) -> None:
        one_of("prune", "what", self.what, Inner)
        one_of("prune", "criterion", self.criterion, Criterion)
        within("prune", "amount", self.amount, 0 < self.amount < 1, "between 0 and 1")

    @property
    def label(self) -> str:
        return f"prune {self.amount:.0%} of the {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Widen(Structural):
    """More inner channels: some are doubled, and what reads them takes half of each (Net2WiderNet, 1511.05641).

    ``noise``: breaks the tie between the copies, relative to the weights' own spread; 0 keeps the function exactly.
    """

    factor: float = 1.5
    noise: float = 0.0
    kind = "widen"

    def __post_init__(self) -> None:
        within("widen", "factor", self.factor, 1 < self.factor <= 16, "above 1, up to 16")
        within("widen", "noise", self.noise, 0 <= self.noise < 1, "from 0 to below 1")

    @property
    def label(self) -> str:
        return f"widen x{self.factor:g}"

    @property
    def keeps_function(self) -> bool:
        return self.noise == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deepen(Structural):
    """One more stage behind this one: a copy of its block whose residual branches start at zero (Net2DeeperNet, 1511.05641)."""

    kind = "deepen"
    label = "deepen"
    keeps_function = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantize(Structural):
    """The weights of the stage's linear layers in four bits, by bitsandbytes (QLoRA, 2305.14314). ``levels``: "nf4", for weights that are spread as
    a normal distribution is, or "fp4"."""

    levels: Levels = "nf4"
    kind = "quantize"
    keeps_function = False

    def __post_init__(self) -> None:
        one_of("quantize", "levels", self.levels, Levels)

    @property
    def label(self) -> str:
        return f"quantize {self.levels}"


STRUCTURAL: dict[str, type] = {
    "drop": Drop, "insert": Insert, "replace": Replace, "prune": Prune, "widen": Widen, "deepen": Deepen, "quantize": Quantize,
}  # fmt: skip
