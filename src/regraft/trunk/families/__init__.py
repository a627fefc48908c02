"""Families: how a model of a known kind is read as stages. One file each, one function each:

    def view(host: nn.Module, **facts) -> Trunk | None      # None: not mine

``facts`` are fields of ``Trunk`` that the caller knows better (reference, input, pooling, tokenizer, source, assets, ...).
Packages add families through the entry point group ``regraft.families``; they are asked after the ones here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from torch import nn

from regraft.errors import TrunkError
from regraft.trunk.families.explicit import view_stages
from regraft.trunk.stage import Stage
from regraft.trunk.trunk import Trunk

View = Callable[..., Trunk | None]
StageLike = Stage | tuple[str, Sequence[str]] | str

BUILT_IN: dict[str, tuple[str, ...]] = {
    "timm": ("timm_models",),
    "torchvision": ("alexnet", "vgg", "resnet", "mobilenet", "torchvision_vit", "torchvision_segmentation"),
    "transformers": ("bert", "distilbert", "deberta", "transformers_vit", "gpt2", "llama", "wav2vec2", "whisper", "segformer"),
    "regraft": ("recurrent", "mel_resnet"),
}
"""Library -> files of this folder that read its models; a library is imported only where a host comes from it."""


def view(host: nn.Module, *, stages: Sequence[StageLike] | None = None, width: int | None = None, **facts: Any) -> Trunk:
    """``host`` as a trunk: by the ``stages`` given, else by the first family that knows it.

    ``width``: size of the features' last dimension, where the family cannot know better. Raises ``TrunkError`` where no
    family knows the host and no stages are given.
    """
    known = {**facts, "width": width} if width else facts
    if stages is not None:
        return view_stages(host, stages, **known)
    for family in families_for(host):
        trunk = family(host, **known)
        if trunk is not None:
            return trunk
    raise _not_a_trunk(host)


def families_for(host: nn.Module) -> Iterator[View]:
    """The views that may know ``host``: those for the libraries that its classes come from, then the installed ones."""
    libraries = {cls.__module__.partition(".")[0] for cls in type(host).__mro__}
    for library, files in BUILT_IN.items():
        if library in libraries:
            yield from (import_module(f"{__name__}.{file}").view for file in files)
    for point in entry_points(group="regraft.families"):
        yield point.load()


def _not_a_trunk(host: nn.Module) -> TrunkError:
    children = [f"{name} ({type(child).__name__})" for name, child in host.named_children()]
    names = [name for name, _ in host.named_children()]
    return TrunkError(
        f"view {type(host).__module__}.{type(host).__qualname__} as stages",
        f"no family knows this class; its children are {', '.join(children) or '(none)'}",
        f"Trunk.of(model, stages={names!r}), in the order in which data flows, without the classifier (head_paths=[...] names it)",
    )
