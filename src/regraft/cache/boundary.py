"""The boundary: everything below a stage is skipped, and what entered that stage enters again.

    capture   tokens --> [stem] [blocks.0] --+ stop         the host's own forward, left by a private exception
                                             v
                                          entries           hidden states, and whatever else enters that depends on the prefix
                                             v
    resume    shapes ..> (stem) (blocks.0) --+--> [blocks.1] --> ... --> logits, gradient in the rest

The host's forward is never rewritten. In ``resume`` it runs as it is, on placeholders that have shapes and no values
(``cache.placeholder``): the stages below answer with placeholders, the code between them makes masks and position tables from
lengths and shapes as ever, and the captured values are put in where the boundary stage is called. Should any value of the prefix be
needed elsewhere, the placeholder says so, and ``examine`` reports the boundary as one to train live.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regraft.cache.entrance import Captured, Entrance, Reached, entrance_of, run_to
from regraft.cache.forwards import evaluating
from regraft.cache.placeholder import NotReproduced, Placeholder, is_open
from regraft.cache.skip import Call, SkippedPrefix
from regraft.cache.structure import map_call
from regraft.errors import DataError, PlanError
from regraft.spec import COLUMNS
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

LIVE_INPUTS = ("attention_mask", "segments", COLUMNS)
"""Inputs that are never stood in for: they are tiny, and the outer code reads their values."""
POOLED = "pooled"
LIVE = "train this phase live"


@dataclass(frozen=True, slots=True)
class Equality:
    """What ``examine`` found: ``difference`` is the largest one between cached and live logits, infinite where there are no cached ones."""

    boundary: str
    difference: float
    tolerance: float = 0.0
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance

    def __str__(self) -> str:
        if self.holds:
            return f"cached below {self.boundary}: cached and live logits differ by at most {self.difference:g}"
        return f"not cached below {self.boundary}, trained live: {self.reason or f'cached and live logits differ by {self.difference:g}'}"


class _WrongShape(Exception):
    """An entry does not have the shape that the placeholders led to expect."""


class Boundary:
    """Everything below stage ``index`` of ``network``: from 1 (only the first stage is skipped) to ``len(stages)`` (only the head runs).

    The modules are looked up once, here: make a new boundary after surgery. The stages below are taken to be frozen; in ``capture``
    they run in eval mode, in ``resume`` they do not run at all.
    """

    def __init__(self, network: Network, index: int) -> None:
        count = len(network.trunk.stages)
        if not 1 <= index <= count:
            raise PlanError(f"boundary at stage {index}", f"the trunk has {count} stages", f"a boundary from 1 to {count} (below the head)")
        self.network, self.index = network, index
        self.name = network.stage_names[index]
        self._prefix = SkippedPrefix(network, index)
        self._entrance: Entrance | None = None
        self._seen: dict[str, Placeholder] = {}

    def entrance(self, inputs: Inputs) -> Entrance:
        """Where the prefix hands over, for a batch like ``inputs``: found once.

        Raises ``NotReproduced`` where the model's own code needs values of its prefix on the way.
        """
        if self._entrance is None:
            self._entrance = self.dry_run(inputs)
            self._seen = {name: _like(tensor) for name, tensor in inputs.items() if name not in LIVE_INPUTS}
        return self._entrance

    def dry_run(self, inputs: Inputs) -> Entrance:
        """The entrance for the shapes of ``inputs``; nothing is computed."""
        found: list[Entrance] = []

        def stop(module: nn.Module, calls_before: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            found.append(entrance_of(module, calls_before, args, kwargs))
            raise Reached

        stand_ins = {name: tensor if name in LIVE_INPUTS else _like(tensor) for name, tensor in inputs.items()}
        with torch.no_grad(), evaluating(self.network), self._prefix.skipping(stop), _explained(self.name):
            try:
                self.network(stand_ins)
            except Reached:
                return found[0]
        raise NotReproduced(f"a boundary at {self.name}", "the model finished without calling that stage", LIVE)

    def forget_shapes(self) -> None:
        """Work shapes out anew where they are next needed."""
        self._prefix.forget_shapes()

    def capture(self, inputs: Inputs) -> Captured:
        """What enters the boundary stage and depends on the prefix: no gradient, eval mode, only the stages below run."""
        return capture_many([self], inputs)[self.index]

    def capture_pooled(self, inputs: Inputs) -> Captured:
        """``{"pooled": (B, width)}``: all that a linear probe reads. Only for the boundary below the head."""
        pool = self._pool()
        with torch.no_grad(), evaluating(self.network):
            return {POOLED: pool(self.network.trunk.features(inputs), inputs.get("attention_mask"))}

    def resume(self, entries: Mapping[str, Tensor], inputs: Inputs, *, through: nn.Module | None = None) -> Tensor:
        """Logits from ``entries``: the host's own forward without the stages below, gradient flowing in the rest.

        ``inputs`` gives shapes, and the attention mask its values; pixels may be left out once a batch has been seen (``probe``).
        ``through``: a wrapper of the network to call in its place (DDP, accelerate). An entry may be overwritten, as its live
        counterpart may, where the boundary stage begins with an operation in place.
        """
        with self._pooled_already() if POOLED in entries else nullcontext():
            if through is None and self.index == len(self.network.trunk.stages) and not self.network.reads_maps:
                (features,) = entries.values()
                return self.network.answer(self._as_live(features), inputs)
            return self._resume(entries, inputs, through or self.network)

    def probe(self, inputs: Inputs) -> float:
        """The largest difference between cached and live logits for ``inputs``, everything in eval mode; 0.0 is expected in fp32."""
        with torch.no_grad(), evaluating(self.network):
            live = self.network(inputs)
            cached = self.resume(self.capture(inputs), inputs)
        difference = (live - cached).abs().max().item() if live.numel() else 0.0
        return math.inf if math.isnan(difference) else difference

    def examine(self, inputs: Inputs, *, tolerance: float = 0.0) -> Equality:
        """``probe``, as a fact that a caller can act on: where it does not hold, the phase is trained live and ``str()`` says why."""
        try:
            return Equality(self.name, self.probe(inputs), tolerance)
        except NotReproduced as refused:
            return Equality(self.name, math.inf, tolerance, refused.found)

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _resume(self, entries: Mapping[str, Tensor], inputs: Inputs, whole: nn.Module) -> Tensor:
        random_state = torch.get_rng_state()
        try:
            logits = self._forward_from(entries, inputs, whole)
        except _WrongShape:  # a law was wrong about a shape it had not seen: once more without laws, on the same random numbers
            self._prefix.forget_shapes()
            torch.set_rng_state(random_state)
            try:
                logits = self._forward_from(entries, inputs, whole)
            except _WrongShape as wrong:
                raise DataError(f"resume at {self.name}", str(wrong), "entries and inputs of the same rows") from None
        if is_open(logits):
            raise NotReproduced(f"resume at {self.name}", "the logits need a value of the prefix that does not enter by that stage", LIVE)
        return logits

    def _forward_from(self, entries: Mapping[str, Tensor], inputs: Inputs, whole: nn.Module) -> Tensor:
        def fill(module: nn.Module, calls_before: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            self._fill(entrance_of(module, calls_before, args, kwargs), entries)
            return map_call(args, kwargs, _value)

        with self._prefix.skipping(fill), _explained(self.name):
            return whole(self._stand_ins(entries, inputs))

    def _fill(self, entrance: Entrance, entries: Mapping[str, Tensor]) -> None:
        """Give each placeholder that enters the boundary stage its value."""
        if POOLED in entries:
            entries = dict.fromkeys(entrance.entries, entries[POOLED])
        if missing := sorted(set(entrance.entries) - set(entries)):
            raise NotReproduced(
                f"resume at {self.name}", f"{', '.join(missing)} enters, and {', '.join(sorted(entries))} was captured", LIVE
            )
        for name, placeholder in entrance.entries.items():
            if placeholder.requires_grad:
                raise NotReproduced(f"resume at {self.name}", f"a trainable parameter below that stage acts on {name}",
                                    "freeze every stage below the boundary, or lower the boundary")  # fmt: skip
            value = entries[name]
            if value.shape != placeholder.shape and self.index < len(self.network.trunk.stages):
                raise _WrongShape(f"{name} is {tuple(value.shape)} where {tuple(placeholder.shape)} enters")
            placeholder.value = value.to(device=placeholder.device, dtype=placeholder.dtype)

    def _stand_ins(self, entries: Mapping[str, Tensor], inputs: Inputs) -> dict[str, Tensor]:
        """Placeholders for the inputs; those not given have the shape last seen, with the rows of the entries."""
        given = {name: tensor if name in LIVE_INPUTS else _like(tensor) for name, tensor in inputs.items()}
        rows = len(next(iter(entries.values())))
        absent = {
            name: Placeholder.of_shape((rows, *seen.shape[1:]), seen.dtype, seen.device)
            for name, seen in self._seen.items()
            if name not in given
        }
        if not given and not absent:
            raise DataError(
                f"resume at {self.name}", "no inputs, and no batch seen yet", "probe(inputs) once before, or hand in the inputs"
            )
        return given | absent

    def _as_live(self, features: Tensor) -> Tensor:
        """Stored features in the type and on the device that the head meets live."""
        parameter = next((p for p in self.network.head.parameters() if p.is_floating_point()), features)
        seen = next(iter(self._entrance.entries.values())).dtype if self._entrance else parameter.dtype
        return features.to(device=parameter.device, dtype=seen)

    def _pool(self) -> Any:
        pool = getattr(self.network.head, "pool", None)
        if self.index != len(self.network.trunk.stages) or not callable(pool):
            raise PlanError(f"pooled features at {self.name}", "only a head that pools, above frozen stages alone, reads them",
                            f"capture(), or a boundary at {len(self.network.trunk.stages)}")  # fmt: skip
        return pool

    @contextmanager
    def _pooled_already(self) -> Iterator[None]:
        """The head takes its features as they are."""
        self._pool()
        own = self.network.head.__dict__.get("pool")
        self.network.head.__dict__["pool"] = lambda features, mask=None: features
        try:
            yield
        finally:
            self.network.head.__dict__.pop("pool")
            if own is not None:
                self.network.head.__dict__["pool"] = own


def capture_many(boundaries: Sequence[Boundary], inputs: Inputs) -> dict[int, Captured]:
    """``capture`` at several boundaries of one network in one forward: index -> entries."""
    entrances = {boundary.index: boundary.entrance(inputs) for boundary in boundaries}
    return run_to(boundaries[0].network, entrances, inputs)


def _like(tensor: Tensor) -> Placeholder:
    return Placeholder(torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"), tensor.device)


def _value(leaf: Any, path: str) -> Any:
    return leaf.value if isinstance(leaf, Placeholder) and leaf.value is not None else leaf


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What PyTorch says when values of a placeholder are read, as an error that names the boundary."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error).lower() and "placeholder" not in str(error).lower():
            raise
        reason = str(error).splitlines()[0]
        raise NotReproduced(f"a boundary at {name}", f"the model's own code reads values of its prefix ({reason})", LIVE) from error
