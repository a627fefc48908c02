"""For ONNX: ``model.onnx``, the network with its head, which takes any number of examples (and tokens), with ``regraft.json``, what its inputs go through and
what its outputs mean, and the tokenizer beside it. Read back by onnxruntime, on other shapes than it was traced on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regraft.data.decode import Framing
from regraft.errors import RequestError
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.serve import probe
from regraft.serve.rebuild import Rebuilt
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

MODEL, FACTS = "model.onnx", "regraft.json"
EXTRA = ("onnx", "onnxruntime", "onnxscript")
AXES = {2: ("batch", "length"), 4: ("batch",)}
"""Dimensions of an input -> what its free axes are called, from the first: examples and tokens; pictures have one size."""
SHOWN = 200


def write(store: Store, generation: Generation, rebuilt: Rebuilt, folder: Path) -> tuple[Callable[[Inputs], Tensor], str]:
    """Raises ``RequestError`` where the extra is not installed, or where something in the network has no form there."""
    asked = f"export {generation.name} --to onnx"
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise RequestError(
            asked, f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed", "pip install 'regraft[onnx]'"
        )
    if rebuilt.spec.kind not in ("text", "image"):
        raise RequestError(
            asked, f"a model for {rebuilt.spec.kind}, which is not exported so", "--to bundle; --to hf, where it is one of transformers"
        )
    inputs = probe.inputs(rebuilt)
    _traced(asked, rebuilt.network, inputs).save(folder / MODEL)
    if rebuilt.tokenizer is not None and hasattr(rebuilt.tokenizer, "save_pretrained"):
        rebuilt.tokenizer.save_pretrained(folder)
    facts = _facts(generation, rebuilt, list(inputs))
    (folder / FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False), encoding="utf-8")
    return _answer(folder / MODEL, list(inputs)), f'onnxruntime.InferenceSession("{{path}}/{MODEL}")'


class Positional(nn.Module):
    """A network whose inputs have places instead of names, as the exporter wants them."""

    def __init__(self, network: Network, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *values: Tensor) -> Tensor:
        return self.network(dict(zip(self.names, values, strict=True)))


def _traced(asked: str, network: Network, inputs: Inputs) -> Any:
    """Traced on twice the examples of ``inputs``, and longer ones: what then holds for ``inputs`` holds for other shapes too."""
    names, values = list(inputs), [_larger(value) for value in inputs.values()]
    shapes = tuple({axis: name for axis, name in enumerate(AXES[value.dim()])} for value in values)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about itself
            return torch.onnx.export(
                Positional(network, names), tuple(values), dynamo=True, input_names=names, output_names=["logits"], dynamic_shapes=(shapes,), verbose=False
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        why = error.__cause__ or error
        found = " ".join(str(why).split())[:SHOWN]
        raise RequestError(
            asked, f"PyTorch's exporter cannot write it ({type(why).__name__}: {found})", "--to bundle, or --to hf"
        ) from error


def _larger(value: Tensor) -> Tensor:
    twice = torch.cat([value, value])
    return torch.cat([twice, twice[:, -2:]], dim=1) if value.dim() == 2 else twice


def _answer(model: Path, names: list[str]) -> Callable[[Inputs], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    taken = {row.name for row in session.get_inputs()}

    def answer(inputs: Inputs) -> Tensor:
        given = {name: inputs[name].numpy() for name in names if name in taken}
        return torch.from_numpy(session.run(None, given)[0])

    return answer


def _facts(generation: Generation, rebuilt: Rebuilt, inputs: list[str]) -> dict[str, Any]:
    """All that a program needs beside the model: pixels or tokens from a file or a text, and classes from logits."""
    spec = rebuilt.spec
    facts: dict[str, Any] = {
        "schema": 1, "generation": generation.digest, "name": generation.name, "task": rebuilt.task.name, "classes": list(rebuilt.classes),
        "inputs": inputs, "output": "logits", "kind": spec.kind,
    }  # fmt: skip
    if spec.kind == "image":
        framing = Framing.of(spec, whole=rebuilt.task.form.target == "mask").json()
        normal = {"scale": 1 / 255, "mean": list(spec.mean), "std": list(spec.std), "layout": "NCHW", "channels": "RGB"}
        return {**facts, "image": {**framing, **normal}}
    return {**facts, "text": {"max_length": rebuilt.max_length or spec.max_length, "parts": rebuilt.task.form.parts}}
