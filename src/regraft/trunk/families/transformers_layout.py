"""What the transformers families share: where the stages lie inside a model, with or without a task head around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrunkError
from regraft.spec import InputSpec
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths inside the base model, in data-flow order; those that a given model lacks are left out.

    ``stems``: one tuple of modules for each stem stage. ``blocks``: places where the list of blocks may be (they differ
    between releases of transformers). ``after_block``: (block number, module) called right behind a block. ``head``: modules
    of the base model itself that features do not pass through (poolers).
    """

    stems: tuple[tuple[str, ...], ...]
    blocks: tuple[str, ...]
    neck: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    after_block: tuple[tuple[int, str], ...] = ()
    head: tuple[str, ...] = ()


def view_layout(host: Any, layout: Layout, **facts: Any) -> Trunk:
    """``host`` read by ``layout``. ``facts``: fields of ``Trunk``, at least ``input``, ``family`` and ``run``."""
    base = host.base_model
    prefix = "" if base is host else next(f"{name}." for name, module in host.named_modules() if module is base)

    def present(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(prefix + path for path in paths if _has(base, path))

    stems = [Stage("stem" if len(layout.stems) == 1 else f"stem.{i}", present(paths)) for i, paths in enumerate(layout.stems)]
    stems[-1] = Stage(stems[-1].name, stems[-1].modules, tuple(prefix + path for path in layout.extras if _has_parameter(base, path)))
    stages = [*stems, *_blocks(base, layout, prefix)]
    if neck := present(layout.neck):
        stages.append(Stage("neck", neck))
    around = tuple(
        name
        for name, child in host.named_children()
        if base is not host and not _holds(child, base) and any(True for _ in child.parameters())
    )
    defaults: dict[str, Any] = {
        "stages": tuple(stages),
        "width": host.config.hidden_size,
        "head_paths": (*around, *present(layout.head)),
        **described(host),
    }
    return Trunk(host=host, **defaults | facts)


def described(host: Any) -> dict[str, Any]:
    """How to build an empty ``host`` again: its class here, its configuration as an asset."""
    arguments = {"add_pooling_layer": False} if takes_pooler(type(host)) and getattr(host, "pooler", None) is None else {}
    source = {"library": "transformers", "class": type(host).__name__, "arguments": arguments}
    return {"source": source, "assets": {"config.json": host.config.to_json_string(use_diff=True).encode()}}


def text_input(host: Any, *, reserved: int = 0) -> InputSpec:
    """``reserved``: positions of the table that no token takes (RoBERTa counts from behind its padding index)."""
    longest = getattr(host.config, "max_position_embeddings", None)
    return InputSpec(kind="text", max_length=longest - reserved if longest and longest > reserved else None)


def run_hidden_states(host: Any, inputs: Inputs) -> Tensor:
    """The last hidden states (B, L, width) of an encoder."""
    return host.base_model(**inputs).last_hidden_state


def run_decoder(host: Any, inputs: Inputs) -> Tensor:
    """The last hidden states (B, L, width) of a decoder, its key-value cache off. ``segments`` (B, L), where they are given, number the parts of a row
    that do not see each other: every one begins at position 0 and attends to itself alone."""
    given: dict[str, Tensor | None] = dict(inputs)
    segments = given.pop("segments", None)
    if segments is not None:
        given["attention_mask"] = within(segments, getattr(host.config, "_attn_implementation", "eager"))
        given["position_ids"] = positions(segments)
    return host.base_model(**given, use_cache=False).last_hidden_state


def within(segments: Tensor, implementation: str) -> Tensor | None:
    """(B, 1, L, L): each place sees the places up to it that are of its segment, padding (0) itself alone. As booleans, for eager attention as numbers to
    add; ``None`` for flash attention, which tells segments apart by their positions."""
    if "flash" in implementation:
        return None
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=segments.device)
    seen = (segments[:, :, None] == segments[:, None, :]) & (segments[:, None, :] > 0) & causal | itself
    if implementation == "eager":
        return torch.zeros(seen.shape, device=segments.device).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    return seen[:, None]


def positions(segments: Tensor) -> Tensor:
    """(B, L) the place of each token in its segment, from 0."""
    places = torch.arange(segments.shape[1], device=segments.device).expand_as(segments)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return places - torch.where(begins, places, 0).cummax(1).values


def is_transformer(host: Any, *model_types: str) -> bool:
    return getattr(getattr(host, "config", None), "model_type", "") in model_types and hasattr(host, "base_model")


def _blocks(base: nn.Module, layout: Layout, prefix: str) -> list[Stage]:
    path = next((path for path in layout.blocks if _has(base, path)), None)
    if path is None:
        raise TrunkError(f"view {type(base).__name__} as stages", f"its blocks are at none of {', '.join(layout.blocks)}",
                         "Trunk.of(model, stages=[...]), or another release of transformers")  # fmt: skip
    behind = {index: (prefix + after,) for index, after in layout.after_block if _has(base, after)}
    return [Stage(f"blocks.{i}", (f"{prefix}{path}.{i}", *behind.get(i, ()))) for i in range(len(base.get_submodule(path)))]  # type: ignore[arg-type]


def _has(base: nn.Module, path: str) -> bool:
    return path in {name for name, _ in base.named_modules()}


def _has_parameter(base: nn.Module, path: str) -> bool:
    return path in {name for name, _ in base.named_parameters(remove_duplicate=False)}


def _holds(child: nn.Module, base: nn.Module) -> bool:
    return any(module is base for module in child.modules())


def takes_pooler(cls: type) -> bool:
    return "add_pooling_layer" in cls.__init__.__annotations__ or "add_pooling_layer" in cls.__init__.__code__.co_varnames  # type: ignore[misc]
