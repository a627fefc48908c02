"""Edits as frozen specs: what stands in a cell of the grid. Free of torch; ``surgery`` applies them, ``plan`` only writes them.

An edit's JSON is ``{"kind": "lora", ...its fields}``. ``is_linear``: can it be merged into the weights that it stands over?
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, get_args

from regraft.errors import RequestError, suggest
from regraft.surgery.placement import adapter_paths
from regraft.surgery.structure import STRUCTURAL, Deepen, Drop, Insert, Prune, Quantize, Replace, Widen, within

LoraVariant = Literal["plain", "rslora", "dora", "pissa", "ia3"]
Placement = Literal["houlsby", "pfeiffer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank updates of linear layers (Hu et al. 2021, 2106.09685), made by peft.

    ``where``: a module selection as in ``trunk.select``. ``variant``: plain, rslora (2312.03732), dora (2402.09353),
    pissa (2404.02948) or ia3 (2205.05638; no rank).
    """

    rank: int = 8
    alpha: float = 16.0
    where: str = "linear"
    variant: LoraVariant = "plain"
    dropout: float = 0.0
    kind = "lora"
    is_linear = True

    def __post_init__(self) -> None:
        within("lora", "variant", self.variant, self.variant in get_args(LoraVariant), f"one of {', '.join(get_args(LoraVariant))}")
        within("lora", "rank", self.rank, self.rank >= 1, "1 or more")
        within("lora", "alpha", self.alpha, self.alpha > 0, "above 0")
        within("lora", "dropout", self.dropout, 0 <= self.dropout < 1, "from 0 to below 1")

    @property
    def label(self) -> str:
        """How a cell of the grid names it: ``lora r8``, ``dora r8``, ``ia3``."""
        name = {"plain": "lora"}.get(self.variant, self.variant)
        return name if self.variant == "ia3" else f"{name} r{self.rank}"

    def added_parameters(self, linears: tuple[tuple[str, int, int], ...]) -> int:
        """Trainable numbers that this edit adds to layers given as (path, in features, out features)."""
        if self.variant == "ia3":
            return sum(out for _, _, out in linears)
        dora = sum(out for _, _, out in linears) if self.variant == "dora" else 0
        return dora + sum(self.rank * (into + out) for _, into, out in linears)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Bottleneck adapters: after attention and after the MLP (``houlsby``, 1902.00751), or after the MLP alone
    (``pfeiffer``, 2005.00247). The up-projection starts at zero, so that a fresh adapter is the identity."""

    width: int = 64
    placement: Placement = "pfeiffer"
    kind = "adapter"
    is_linear = False

    def __post_init__(self) -> None:
        within("adapter", "placement", self.placement, self.placement in get_args(Placement), f"one of {', '.join(get_args(Placement))}")
        within("adapter", "width", self.width, self.width >= 1, "1 or more")

    @property
    def label(self) -> str:
        """``adapter w64 pfeiffer``."""
        return f"adapter w{self.width} {self.placement}"

    def added_parameters(self, linears: tuple[tuple[str, int, int], ...]) -> int:
        """As for ``Lora``. A stage that is no transformer block gets one adapter, behind its last layer."""
        chosen = set(adapter_paths([path for path, _, _ in linears], self.placement)) or {path for path, _, _ in linears[-1:]}
        return sum(2 * out * self.width + self.width + out for path, _, out in linears if path in chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A head that is made of statistics alone: a ridge solution on ``width`` random features (RanPAC, McDonnell et al. 2023,
    2307.02251), or class means (``means``; then ``width`` says nothing). It stands in the head's cell and trains in closed form."""

    width: int = 4000
    how: Literal["ridge", "means"] = "ridge"
    kind = "statistics"
    is_linear = False

    def __post_init__(self) -> None:
        within("statistics", "width", self.width, 1 <= self.width <= 20_000, "from 1 to 20000")
        within("statistics", "how", self.how, self.how in ("ridge", "means"), "ridge or means")

    @property
    def label(self) -> str:
        return f"ridge w{self.width}" if self.how == "ridge" else "means"

    def added_parameters(self, linears: tuple[tuple[str, int, int], ...]) -> int:
        return 0

    def head_parameters(self, width: int, num_classes: int) -> int:
        """Weights over features of ``width``."""
        return num_classes * (self.width if self.how == "ridge" else width)


Edit = Lora | Adapter | Statistics | Drop | Insert | Replace | Prune | Widen | Deepen | Quantize
KINDS: dict[str, type] = {"lora": Lora, "adapter": Adapter, **STRUCTURAL}
HEADS: dict[str, type] = {"statistics": Statistics}
"""What may stand in the cell of the head, and nowhere else."""


def known_kinds() -> dict[str, type]:
    """Kind -> its spec: those of the package, and those of installed entry points ``regraft.edits``."""
    return {**KINDS, **_installed()}


@cache
def _installed() -> dict[str, type]:
    """An entry point holds how the edit is done (``surgery.edits.Kind``), which says what its spec is."""
    return {point.name: point.load().spec for point in entry_points(group="regraft.edits") if point.name not in KINDS}


def edit_json(edit: Edit | None) -> dict[str, Any] | None:
    return None if edit is None else {"kind": edit.kind, **asdict(edit)}


def edit_from_json(document: dict[str, Any] | None) -> Edit | None:
    if document is None:
        return None
    kind = document.get("kind", "")
    spec = KINDS.get(kind) or HEADS.get(kind) or known_kinds().get(kind)
    if spec is None:
        raise RequestError(f"edit {kind!r}", "no edit of that kind is registered", suggest(kind, {**known_kinds(), **HEADS}))
    known = {field.name for field in fields(spec)}
    for key in document:
        if key != "kind" and key not in known:
            raise RequestError(f"{kind}({key}=...)", f"{kind} has no such setting", suggest(key, known))
    return spec(**{key: value for key, value in document.items() if key != "kind"})
