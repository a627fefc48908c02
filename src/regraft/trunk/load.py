"""Models by reference: ``load`` with pretrained weights, ``rebuild`` as an empty shell of the same names, ``available`` to choose.

Nothing is fetched unless a reference needs it, remote code never runs, and weights are safetensors (a ``.pth`` is read with
``weights_only=True``).
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.errors import TrunkError
from regraft.spec import InputSpec
from regraft.trunk.catalogue import BUNDLED, ModelInfo, available
from regraft.trunk.reference import Reference, parse
from regraft.trunk.sources.hub import NotHere
from regraft.trunk.sources.wanted import Wanted

if TYPE_CHECKING:
    from regraft.trunk.trunk import Trunk

__all__ = ["ModelInfo", "available", "load", "rebuild"]


def load(reference: str, *, pretrained: bool = True, input_size: int = 0, online: bool | None = None, language: bool = False) -> Trunk:
    """The trunk that ``reference`` names.

    ``pretrained=False``: random weights. ``input_size``: pixels to a side, 0 for the model's own. ``online``: may the network be
    used? ``None`` means only where the reference needs it and ``HF_HUB_OFFLINE`` is not set. ``language``: of a decoder with its output layer
    (``Trunk.own_head``). Raises ``TrunkError``.
    """
    may_fetch = _may_fetch() if online is None else online
    typed = parse(reference)
    named = resolve(typed)
    try:
        trunk = _opener(named.source)(named, Wanted(pretrained=pretrained, input_size=input_size, online=may_fetch, language=language))
    except NotHere as error:
        guess = "" if typed.source else f"no bundled, timm or torchvision model has this name, and as '{named}' "
        raise TrunkError(f"model {reference!r}", guess + error.found, _near(named) + error.advice) from error
    trunk.reference = str(named)
    trunk.source |= {"reference": str(named), "input": trunk.input.json(), "pooling": trunk.pooling} if trunk.source else {}
    return trunk


def rebuild(source: dict[str, Any], assets: dict[str, bytes]) -> Trunk:
    """The architecture that ``Trunk.source`` and ``Trunk.assets`` describe, with the same parameter names; every number is still to be loaded.

    Needs no network; a model from ``module:`` needs its package. Each library's own ``rebuild(source, assets, facts)`` takes both
    beside the fields of ``Trunk`` that follow from them.
    """
    from regraft.trunk.unfilled import Unfilled

    library = source.get("library", "")
    facts: dict[str, Any] = {"source": source, "assets": assets, "reference": source.get("reference", "")}
    if "input" in source:
        facts |= {"input": InputSpec.from_json(source["input"]), "pooling": source["pooling"]}
    if library == "timm":
        from regraft.trunk.sources.timm_library import rebuild as build
    elif library == "torchvision":
        from regraft.trunk.sources.torchvision_library import rebuild as build
    elif library == "transformers":
        from regraft.trunk.sources.transformers_library import rebuild as build
    elif library == "vectors":
        from regraft.trunk.sources.vectors_file import rebuild as build
    elif library == "module":
        from regraft.trunk.sources.python_function import rebuild as build
    else:
        raise TrunkError("rebuild a model", f"its source {source!r} does not say how it is made",
                         "load models by reference; for one of your own: module:package.function")  # fmt: skip
    with Unfilled():
        return build(source, assets, facts)


def resolve(named: Reference) -> Reference:
    """A bare name with its source: bundled, then a path, then timm and torchvision, then the hub's names."""
    if named.source:
        return named
    if named.name in BUNDLED:
        source = "bundled"
    elif Path(named.name).exists():
        source = "file"
    elif "/" not in named.name and _is_timm(named.name):
        source = "timm"
    elif "/" not in named.name and _is_torchvision(named.name):
        source = "torchvision"
    else:
        source = "hf"
    return Reference(source, named.name, named.settings)


def _may_fetch() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() not in {"1", "ON", "YES", "TRUE"}


def _near(named: Reference) -> str:
    """A name that is spelled like it. One that its library knows, or that is listed here, is right: it only has to be fetched."""
    known = [*BUNDLED, *(model.reference for model in available())]
    if named.source != "hf" or str(named) in known:
        return ""
    near = get_close_matches(named.name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}? " if near else ""


def _is_timm(name: str) -> bool:
    import timm

    return timm.is_model(name)


def _is_torchvision(name: str) -> bool:
    from torchvision.models import list_models

    return name in list_models()


def _opener(source: str) -> Any:
    if source == "bundled":
        from regraft.trunk.sources.bundled import load as opener
    elif source == "timm":
        from regraft.trunk.sources.timm_library import load as opener
    elif source == "torchvision":
        from regraft.trunk.sources.torchvision_library import load as opener
    elif source == "hf":
        from regraft.trunk.sources.transformers_library import load as opener
    elif source == "file":
        from regraft.trunk.sources.file import load as opener
    elif source == "vectors":
        from regraft.trunk.sources.vectors_file import load as opener
    else:
        from regraft.trunk.sources.python_function import load as opener
    return opener
