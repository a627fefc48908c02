"""For transformers. Where it has a class that puts one linear layer on the same features (pictures, tokens), that class; for texts the encoder with the
head as modules of sentence-transformers behind it: pooling, then dense layers, so that a text's embedding are its logits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import RequestError
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.serve import to_ctc
from regraft.serve.rebuild import Rebuilt
from regraft.surgery.language_head import LanguageHead, speaking
from regraft.surgery.statistics import StatisticsHead
from regraft.trunk.trunk import Inputs

CLASSES = {"image": "AutoModelForImageClassification", "token-classification": "AutoModelForTokenClassification"}
"""By kind of input, or by task."""
POOLED = {"mean": "pooling_mode_mean_tokens", "first": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
MODULES = "sentence_transformers.models."


def write(store: Store, generation: Generation, rebuilt: Rebuilt, folder: Path) -> tuple[Callable[[Inputs], Tensor], str]:
    host: Any = rebuilt.network.host
    if not hasattr(host, "save_pretrained"):
        raise RequestError(
            f"export {generation.name} --to hf", f"{generation.manifest['model']} is no model of transformers", "--to timm, or --to bundle"
        )
    if rebuilt.tokenizer is not None:
        rebuilt.tokenizer.save_pretrained(folder)
    if isinstance(rebuilt.network.head, LanguageHead):
        return _speaker(rebuilt, rebuilt.network.head, folder), 'transformers.AutoModelForCausalLM.from_pretrained("{path}")'
    if rebuilt.spec.kind == "audio":
        return to_ctc.write(f"export {generation.name} --to hf", rebuilt, folder), f'transformers.{to_ctc.KIND}.from_pretrained("{{path}}")'
    named = CLASSES.get(rebuilt.task.name) or CLASSES.get(rebuilt.spec.kind)
    if named:
        return _classifier(generation, rebuilt, folder, named), f'transformers.{named}.from_pretrained("{{path}}")'
    return _sentences(generation, rebuilt, folder), 'sentence_transformers.SentenceTransformer("{path}").encode(texts)  # the logits'


def _speaker(rebuilt: Rebuilt, head: LanguageHead, folder: Path) -> Callable[[Inputs], Tensor]:
    """The host with its own output layer back in its place, as its ``save_pretrained`` writes it."""
    import transformers

    with speaking(rebuilt.network.host, head) as host:
        host.save_pretrained(folder)
    again = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    return lambda inputs: again(**inputs).logits


def _classifier(generation: Generation, rebuilt: Rebuilt, folder: Path, named: str) -> Callable[[Inputs], Tensor]:
    import transformers

    host, linear = rebuilt.network.host, _linear(generation, rebuilt)
    config = _labelled(host.config, rebuilt)
    kind: Any = getattr(transformers, named)
    try:
        model = kind.from_config(config)
        model.base_model.load_state_dict(host.state_dict())
        model.classifier.load_state_dict(linear.state_dict())
    except (ValueError, RuntimeError, AttributeError) as error:
        raise RequestError(
            f"export {generation.name} --to hf", f"transformers has no {named} of it: {str(error).splitlines()[0][:120]}", "--to bundle"
        ) from error
    model.save_pretrained(folder)
    again = kind.from_pretrained(folder, local_files_only=True).eval()
    return lambda inputs: again(**_named(inputs)).logits


def _sentences(generation: Generation, rebuilt: Rebuilt, folder: Path) -> Callable[[Inputs], Tensor]:
    """``modules.json`` and a folder for each module. What is checked is what the files say, by AutoModel and plain layers."""
    import transformers

    network = rebuilt.network
    if rebuilt.network.trunk.pooling not in POOLED or not hasattr(network.head, "pool"):
        raise RequestError(f"export {generation.name} --to hf", f"a head of the task {rebuilt.task.name} has no form there", "--to bundle")
    host: Any = network.host
    host.config = _labelled(host.config, rebuilt)
    host.save_pretrained(folder)
    length = rebuilt.max_length or rebuilt.spec.max_length
    _json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    flags = {flag: name == network.trunk.pooling for name, flag in POOLED.items()}
    _json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": network.trunk.width, **flags})
    for place, layer in enumerate(_layers(generation, rebuilt), len(modules)):
        modules.append((f"{place}_{'Normalize' if layer is None else 'Dense'}", "Normalize" if layer is None else "Dense"))
        (folder / modules[-1][0]).mkdir()
        if layer is not None:
            _dense(folder / modules[-1][0], *layer)
    rows = [{"idx": place, "name": str(place), "path": path, "type": MODULES + kind} for place, (path, kind) in enumerate(modules)]
    _json(folder / "modules.json", rows)
    again = transformers.AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()

    def answer(inputs: Inputs) -> Tensor:
        hidden = again(**_named(inputs)).last_hidden_state
        return network.head(hidden, inputs.get("attention_mask"))

    return answer


Layer = tuple[Tensor, Tensor | None, bool]
"""Weight (out, in), bias, and whether a ReLU follows."""


def _layers(generation: Generation, rebuilt: Rebuilt) -> list[Layer | None]:
    """What stands behind the pooling; ``None``: scaled to unit length."""
    head = rebuilt.network.head
    linear = _linear(generation, rebuilt)
    last: Layer = (linear.weight, linear.bias, False)
    if not isinstance(head, StatisticsHead):
        return [last]
    return [None, *([(head.projection.T, None, True)] if head.projection is not None else []), last]


def _linear(generation: Generation, rebuilt: Rebuilt) -> nn.Linear:
    linear = getattr(rebuilt.network.head, "linear", None)
    if not isinstance(linear, nn.Linear):
        raise RequestError(f"export {generation.name} --to hf", f"its head is a {type(rebuilt.network.head).__name__}", "--to bundle")
    return linear


def _dense(folder: Path, weight: Tensor, bias: Tensor | None, relu: bool) -> None:
    from safetensors.torch import save_file

    activation = "torch.nn.modules.activation.ReLU" if relu else "torch.nn.modules.linear.Identity"
    _json(
        folder / "config.json",
        {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": bias is not None, "activation_function": activation},
    )
    state = {"linear.weight": weight, **({} if bias is None else {"linear.bias": bias})}
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in state.items()}, folder / "model.safetensors")


def _labelled(config: Any, rebuilt: Rebuilt) -> Any:
    names = list(rebuilt.classes)
    if names:
        config.id2label, config.label2id = dict(enumerate(names)), {name: place for place, name in enumerate(names)}
    return config


def _named(inputs: Inputs) -> dict[str, Tensor]:
    """As transformers calls them."""
    return {"pixel_values" if name == "image" else name: value for name, value in inputs.items()}


def _json(file: Path, value: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value, indent=2), encoding="utf-8")
