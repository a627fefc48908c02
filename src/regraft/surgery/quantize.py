"""Quantize: the weights of a stage's linear layers in four bits, by bitsandbytes (QLoRA, Dettmers et al. 2023, 2305.14314).

    codes    (ceil(out * in / 2),) uint8       two weights to a byte, each one of sixteen levels
    scales   (ceil(out * in / 64),) float32    the largest weight of each block of 64, by which the levels are multiplied

Both are buffers: they never train, are stored and compared as any tensor, and the weight itself exists for the time of one product. LoRA stands over such a
layer as over any other. It is not folded into four bits, which would round it away; ``dequantized`` gives plain layers, over which it folds as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import RequestError, TrunkError
from regraft.surgery.sites import Site, stand
from regraft.surgery.structure import Quantize
from regraft.trunk.layers import linear_layers
from regraft.trunk.network import Network

BLOCK = 64
INSTALL = "pip install 'regraft[quantize]'"


class QuantizedLinear(nn.Linear):
    """``y = x W' + b`` with W (out, in) in four bits. ``transposed``: the layer in whose place it stands kept its weight as (in, out) (``Conv1D``)."""

    def __init__(self, weight: Tensor, bias: nn.Parameter | None, levels: str, *, transposed: bool = False) -> None:
        """``weight`` (out, in), rounded here. Raises ``RequestError`` where bitsandbytes is not installed or does not run."""
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.levels, self.transposed = levels, transposed
        codes, scales = _rounded(weight, levels)
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.bias = bias  # type: ignore[assignment]

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """(out, in) float32, made anew each time."""
        return _library().functional.dequantize_4bit(self.codes, self._state())

    def forward(self, input: Tensor) -> Tensor:
        product: Tensor = _library().matmul_4bit(input, self.codes, self._state())
        return product if self.bias is None else product + self.bias.to(product.dtype)

    def plain(self) -> nn.Module:
        """A layer of the kind that stood here before, with the weights that this one multiplies by."""
        weight = self.weight
        if self.transposed:
            from transformers.pytorch_utils import Conv1D

            made: Any = Conv1D(self.out_features, self.in_features)
            weight = weight.T.contiguous()
        else:
            made = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        made.weight, made.bias = nn.Parameter(weight, requires_grad=False), self.bias
        return made.train(self.training)

    def _state(self) -> Any:
        """What bitsandbytes wants to know of ``codes``."""
        shape = torch.Size((self.out_features, self.in_features))
        return _library().functional.QuantState(self.scales, shape=shape, blocksize=BLOCK, quant_type=self.levels, dtype=torch.float32)


def find(network: Network, index: int, edit: Quantize) -> tuple[Site, ...]:
    """The linear layers of stage ``index`` that are not quantised yet."""
    layers = [(path, out) for path, _, out in linear_layers(network.host, network.trunk.stages)[index]]
    sites = tuple(Site(path, out) for path, out in layers if _takes(network.host.get_submodule(path)))
    if not sites:
        name = network.stage_names[index]
        raise TrunkError(f"{edit.label} in {name}", f"{name} has no linear layer, or they are quantised already", "other stages: at=...")
    return sites


def install(network: Network, sites: Sequence[Site], edit: Quantize) -> None:
    for site in sites:
        old: Any = network.host.get_submodule(site.path)
        transposed = not isinstance(old, nn.Linear)
        weight = old.weight.detach().T if transposed else old.weight.detach()
        stand(network.host, site.path, QuantizedLinear(weight, old.bias, edit.levels, transposed=transposed))


def dequantized(network: Network) -> None:
    """Plain layers in the place of quantised ones, under LoRA too; the network computes what it did, to rounding."""
    for path, module in list(network.host.named_modules()):
        if isinstance(module, QuantizedLinear):
            network.host.set_submodule(path, module.plain())


def _takes(layer: nn.Module) -> bool:
    return not isinstance(layer, (QuantizedLinear, nn.Conv2d))


def _rounded(weight: Tensor, levels: str) -> tuple[Tensor, Tensor]:
    functional = _library().functional
    try:
        codes, state = functional.quantize_4bit(weight.float().contiguous(), blocksize=BLOCK, quant_type=levels)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        raise RequestError(f"quantise to {levels}", f"bitsandbytes does not run on this machine: {str(error).splitlines()[0]}",
                         "another machine, or lora without quantize(...)") from error  # fmt: skip
    return codes.reshape(-1), state.absmax


def _library() -> Any:
    try:
        import bitsandbytes
    except (ImportError, OSError) as error:
        raise RequestError("quantise a model", f"bitsandbytes is not here: {str(error).splitlines()[0]}",
                         f"{INSTALL}, or lora without quantize(...)") from error  # fmt: skip
    return bitsandbytes
