"""``timm:NAME`` and ``timm:NAME.TAG``: models of PyTorch Image Models, weights from the hub's cache or the hub."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
from timm.models import get_pretrained_cfg

from regraft.errors import TrunkError, suggest
from regraft.spec import InputSpec
from regraft.trunk.families.timm_models import input_of, view
from regraft.trunk.reference import Reference
from regraft.trunk.sources import hub
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.trunk import Trunk


def load(reference: Reference, wanted: Wanted) -> Trunk:
    check_known(reference.name)
    arguments = sized(reference.name, reference.settings, wanted.input_size)
    overlay = {"file": str(_weights(reference.name, wanted.online))} if wanted.pretrained else None
    host = build(reference.name, arguments, pretrained=wanted.pretrained, pretrained_cfg_overlay=overlay)
    return as_trunk(host, reference.name, arguments, wanted.input_size)


def rebuild(source: dict[str, Any], assets: dict[str, bytes], facts: dict[str, Any]) -> Trunk:
    return _viewed(build(source["architecture"], source["arguments"]), **facts)


def build(name: str, arguments: dict[str, Any], **more: Any) -> Any:
    """A timm model of that name, in eval mode; ``arguments`` are those of ``timm.create_model``."""
    check_known(name)
    try:
        return timm.create_model(name, **arguments, **{key: value for key, value in more.items() if value is not None}).eval()
    except (TypeError, RuntimeError) as error:
        raise TrunkError(
            f"model 'timm:{name}' with {arguments}", str(error).splitlines()[0], "leave out what the model does not know"
        ) from error


def check_known(name: str) -> None:
    if not timm.is_model(name):
        near = get_close_matches(name, [*timm.list_models(), *timm.list_pretrained()], n=8, cutoff=0.4)
        raise TrunkError(f"model 'timm:{name}'", "timm has no model of that name", suggest(name, near))


def sized(name: str, arguments: dict[str, Any], input_size: int) -> dict[str, Any]:
    """``arguments``, with the size where the model is built for one (its position table is then interpolated)."""
    fixed = getattr(get_pretrained_cfg(name, allow_unregistered=True), "fixed_input_size", False)
    return {**arguments, "img_size": input_size} if input_size and fixed else dict(arguments)


def as_trunk(host: Any, name: str, arguments: dict[str, Any], input_size: int, spec: InputSpec | None = None) -> Trunk:
    spec = spec or input_of(host)
    spec = replace(spec, size=(input_size, input_size)) if input_size else spec
    return _viewed(host, input=spec, source={"library": "timm", "architecture": name, "arguments": arguments})


def _viewed(host: Any, **facts: Any) -> Trunk:
    trunk = view(host, **facts)
    if trunk is None:
        raise TrunkError(f"view {type(host).__name__} as stages", "this timm model does not say how its layers are grouped",
                         "Trunk.of(model, stages=[...])")  # fmt: skip
    return trunk


def _weights(name: str, online: bool) -> Path:
    cfg = get_pretrained_cfg(name, allow_unregistered=True)
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        raise TrunkError(
            f"pretrained weights of 'timm:{name}'",
            "none were published",
            f"a tag of {name.partition('.')[0]}, or --strategy scratch, which needs none",
        )
    if not cfg.hf_hub_id:
        return hub.downloaded(str(cfg.url), online=online)
    repository = cfg.hf_hub_id if not cfg.hf_hub_id.endswith("/") else f"{cfg.hf_hub_id}{cfg.architecture}.{cfg.tag}"
    return hub.fetch(repository, cfg.hf_hub_filename or "model.safetensors", online=online)
