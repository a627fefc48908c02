"""For timm: ``config.json`` and ``model.safetensors`` as timm's own hub folders hold them, read by ``timm.create_model("local-dir:FOLDER")``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from regraft.data.decode import Framing
from regraft.errors import RequestError
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.serve.rebuild import Rebuilt
from regraft.trunk.trunk import Inputs


def write(store: Store, generation: Generation, rebuilt: Rebuilt, folder: Path) -> tuple[Callable[[Inputs], Tensor], str]:
    import timm
    from safetensors.torch import save_file

    source = generation.manifest["source"]
    linear: Any = getattr(rebuilt.network.head, "linear", None)
    asked = f"export {generation.name} --to timm"
    if source.get("library") != "timm":
        raise RequestError(asked, f"{generation.manifest['model']} is no model of timm", "--to hf, or --to bundle")
    if not isinstance(linear, nn.Linear) or linear.bias is None or rebuilt.classes == ():
        raise RequestError(asked, f"its head is a {type(rebuilt.network.head).__name__}, which timm has no place for", "--to bundle")
    model: Any = timm.create_model(source["architecture"], **{**source["arguments"], "num_classes": len(rebuilt.classes)}).eval()
    classifier = model.pretrained_cfg.get("classifier", "") if isinstance(model.pretrained_cfg, dict) else ""
    if not isinstance(classifier, str) or not classifier:
        raise RequestError(asked, f"timm does not say where the classifier of {source['architecture']} stands", "--to bundle")
    missing = model.load_state_dict(rebuilt.network.host.state_dict(), strict=False).missing_keys
    if odd := [name for name in missing if not name.startswith(f"{classifier}.")]:
        raise RequestError(asked, f"it has no {', '.join(odd[:3])}", "--to bundle")
    model.get_submodule(classifier).load_state_dict(linear.state_dict())
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    spec = rebuilt.spec
    config = {
        "architecture": source["architecture"], "num_classes": len(rebuilt.classes), "label_names": list(rebuilt.classes), "model_args": source["arguments"],
        "pretrained_cfg": {
            "input_size": [3, *Framing.of(spec).size], "mean": list(spec.mean), "std": list(spec.std), "interpolation": spec.interpolation,
            "num_classes": len(rebuilt.classes), "classifier": classifier, "first_conv": model.pretrained_cfg.get("first_conv"),
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    return lambda inputs: again(inputs["image"]), 'timm.create_model("local-dir:{path}", pretrained=True)'
