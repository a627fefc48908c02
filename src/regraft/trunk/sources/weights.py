"""Weights from a file into a model, exactly: every tensor has its place and every place its tensor, or an error says which not."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from regraft.errors import DamagedError, TrunkError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(name -> tensor, what the file says about itself). Safetensors, or a pickle that holds nothing but tensors."""
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise TrunkError(f"read weights {path}", f"the file holds more than tensors, or is damaged: {str(error).splitlines()[0]}",
                         "save it as safetensors: safetensors.torch.save_file(model.state_dict(), PATH)") from error  # fmt: skip
    while isinstance(content, dict) and (wrapper := next((key for key in WRAPPERS if isinstance(content.get(key), dict)), None)):
        content = content[wrapper]
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise TrunkError(f"read weights {path}", "there is no table of named tensors in it", "save model.state_dict()")
    if all(name.startswith("module.") for name in tensors):  # written under DataParallel
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors, {}


def fill(host: nn.Module, tensors: Mapping[str, Tensor], *, asked: str) -> None:
    """Copy ``tensors`` into ``host``, converted to its dtypes. Counters of batch norm may be missing, nothing else."""
    places = host.state_dict()
    missing = [name for name in places if name not in tensors and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in tensors if name not in places]
    other = [
        f"{name} (file {tuple(tensors[name].shape)}, model {tuple(places[name].shape)})"
        for name in places
        if name in tensors and tensors[name].shape != places[name].shape
    ]
    if missing or unexpected or other:
        found = "; ".join(_count(*row) for row in (("missing", missing), ("unexpected", unexpected), ("of another shape", other)) if row[1])
        raise TrunkError(asked, found, "another architecture (?arch=timm:NAME), or ?num_classes=N where only the classifier differs")
    host.load_state_dict(dict(tensors), strict=False)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118  not a dict
    except SafetensorError as error:
        raise DamagedError(f"read weights {path}", f"no valid safetensors file: {error}", "fetch or save the file again") from error


def _count(what: str, names: Iterable[str]) -> str:
    names = list(names)
    return f"{len(names)} {what}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
