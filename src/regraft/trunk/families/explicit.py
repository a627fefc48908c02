"""Any ``nn.Module`` as a trunk, by stages that the caller names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from regraft.errors import TrunkError, suggest
from regraft.spec import InputSpec
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Inputs, Trunk, call_with_input

OUTPUT_SIZES = ("out_features", "out_channels", "num_features", "normalized_shape", "embedding_dim", "hidden_size")


def view_stages(host: nn.Module, stages: Sequence[Stage | tuple[str, Sequence[str]] | str], **facts: Any) -> Trunk:
    """``host`` cut as told. Width, where not given, is the output size of the last sized layer of the last stage; with one
    path in ``head_paths`` the features are what enters that module."""
    cut = tuple(_stage(stage) for stage in stages)
    for path in (path for stage in cut for path in (*stage.modules, *stage.extras)):
        _check_path(host, path)
    facts["head_paths"] = tuple(facts.get("head_paths", ()))
    default = call_with_input if not facts["head_paths"] else partial(run_to_head, path=facts["head_paths"][0])
    width = facts.pop("width", None) or _width(host, cut)
    defaults: dict[str, Any] = {"stages": cut, "width": width, "input": InputSpec(kind="tensor"), "run": default}
    return Trunk(host=host, **defaults | facts)


def run_to_head(host: nn.Module, inputs: Inputs, *, path: str) -> Tensor:
    """What enters the module at ``path``, the host's own classifier, whether or not that is emptied (an ``nn.Identity``)."""
    head = host.get_submodule(path)
    if type(head) is nn.Identity:
        return call_with_input(host, inputs)
    entered: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    try:
        call_with_input(host, inputs)
    finally:
        hook.remove()
    return entered[0]


def _stage(stage: Stage | tuple[str, Sequence[str]] | str) -> Stage:
    if isinstance(stage, Stage):
        return stage
    name, modules = (stage, (stage,)) if isinstance(stage, str) else stage
    return Stage(name, tuple(modules))


def _check_path(host: nn.Module, path: str) -> None:
    known = [name for name, _ in host.named_modules()] + [name for name, _ in host.named_parameters()]
    if path not in known:
        raise TrunkError(f"stage module {path!r}", f"{type(host).__name__} has no module of that path", suggest(path, filter(None, known)))


def _width(host: nn.Module, stages: Sequence[Stage]) -> int:
    for part in reversed(stages[-1].parts(host) if stages else []):
        for module in reversed(list(part.modules())):
            for name in OUTPUT_SIZES:
                size = getattr(module, name, None)
                if isinstance(size, tuple) and size:
                    size = size[-1]
                if isinstance(size, int):
                    return size
    raise TrunkError(
        f"view {type(host).__name__} as stages", "the last stage does not say the width of its output", "Trunk.of(..., width=...)"
    )
