"""The exact bytes of tensors, as short digests: what "byte-equal" means without keeping a copy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from regraft.trunk.network import Network


def of_tensors(tensors: Iterable[Tensor]) -> str:
    """SHA-256 in hex over the bytes of ``tensors`` in order."""
    hasher = hashlib.sha256()
    for tensor in tensors:
        hasher.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def of_stage(network: Network, index: int) -> str:
    """One digest for the parameters and buffers of row ``index``."""
    return of_tensors([*(p for _, p in network.stage_parameters(index)), *(b for _, b in network.stage_buffers(index))])
