"""``export --to hf|peft|timm|onnx``: a folder for another library, read back by that library alone and compared before it is called done.

    hf     transformers: a classifier of its own class where it has one that computes the same (pictures, tokens); texts as sentence-transformers modules,
           whose embedding are the logits, on an encoder that AutoModel reads
    peft   the LoRA edits as a peft adapter for the pretrained model, and the head beside it
    timm   a folder for ``timm.create_model("local-dir:FOLDER")``
    onnx   the network, head included, as one graph, and what its inputs go through

LoRA and its relatives are folded into the weights for all but peft.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regraft import digest
from regraft.errors import RequestError, suggest
from regraft.lineage.files import storing
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.serve import probe, rebuild, to_onnx, to_peft, to_timm, to_transformers
from regraft.serve.rebuild import Rebuilt
from regraft.surgery import edits
from regraft.surgery.edits import EditRecord
from regraft.surgery.quantize import dequantized
from regraft.surgery.structure import Quantize
from regraft.trunk.network import HEAD
from regraft.trunk.trunk import Inputs

ATOL = 1e-4
PART = ".part"


Answer = Callable[[Inputs], Tensor]
"""What the other library makes of inputs as the model takes them, from the folder alone: logits (B, ...)."""
WRITERS: dict[str, Callable[[Store, Generation, Rebuilt, Path], tuple[Answer, str]]] = {
    "hf": to_transformers.write,
    "peft": to_peft.write,
    "timm": to_timm.write,
    "onnx": to_onnx.write,
}
"""Each fills a folder, and returns how to ask what lies there, and the code by which a person reads it."""


def export(store: Store, reference: str, to: str, path: Path) -> dict[str, Any]:
    """Write the generation for another library; the ``export`` document, with ``verified``: on how many inputs the outputs were compared, and
    how far they lie apart at most. Raises ``RequestError`` where the library has no model that computes the same; nothing is left then."""
    generation = store.get(reference)
    asked = f"export {generation.name} --to {to}"
    if to not in WRITERS:
        raise RequestError(asked, "no such form", suggest(to, [*WRITERS, "bundle"]))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RequestError(f"{asked} {path}", "something is there already", "another path, or remove that first")
    rebuilt = rebuild.network(store, generation.digest)
    if rebuilt.network.reads_columns:
        raise RequestError(asked, "its head reads columns of a table beside the text, which has no form there", "--to bundle")
    if rebuilt.task.members and to != "onnx":
        raise RequestError(
            asked,
            "it answers several tasks at once, and that library has no class for them",
            "--to onnx or --to bundle, which hold all of it",
        )
    part = path.with_name(path.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    with storing(f"write {path}", str(path.parent)):
        part.mkdir(parents=True)
        try:
            inputs = probe.inputs(rebuilt)
            with torch.inference_mode():
                expected = rebuilt.network(inputs)
            if to != "peft":
                _fold(rebuilt, asked, all_of_them=to != "onnx")
            answer, load = WRITERS[to](store, generation, rebuilt, part)
            verified = _compared(asked, answer, inputs, expected)
            if path.is_dir():
                path.rmdir()
            part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    files = {str(file.relative_to(path)): _row(file) for file in sorted(path.rglob("*")) if file.is_file()}
    return {
        "kind": to, "generation": generation.digest, "name": generation.name, "path": str(path), "files": files,
        "bytes": sum(row["bytes"] for row in files.values()), "load": load.format(path=path), "verified": verified,
    }  # fmt: skip


def _fold(rebuilt: Rebuilt, asked: str, *, all_of_them: bool) -> None:
    """Fold what can be folded. Raises ``RequestError`` for what no class of another library has room for, where that is asked of ``all_of_them``."""
    dequantized(rebuilt.network)
    for record in (EditRecord.from_json(row) for row in rebuilt.manifest["edits"]):
        if record.edit.is_linear:
            edits.merge(rebuilt.network, record)
        elif record.stage != HEAD and all_of_them and not isinstance(record.edit, Quantize):
            raise RequestError(
                asked, f"{record.edit.label} in {record.stage} is no part of that library's model", "--to bundle, which holds everything"
            )


def _compared(asked: str, answer: Answer, inputs: Inputs, expected: Tensor) -> dict[str, Any]:
    with torch.inference_mode():
        found = answer(inputs)
    mask = inputs.get("attention_mask")
    if found.shape != expected.shape:
        raise RequestError(asked, f"the library answers {tuple(found.shape)}, the generation {tuple(expected.shape)}", "--to bundle")
    apart = (found - expected).abs()
    if mask is not None and apart.dim() == 3 and mask.shape == apart.shape[:2]:  # an answer for each token: what is padding is nobody's
        apart = apart * mask[..., None]
    largest = float(apart.max())
    if not largest <= ATOL * max(1.0, float(expected.abs().max())):
        raise RequestError(asked, f"what was written answers otherwise, by up to {largest:.3g}", "--to bundle; and please report this")
    return {"num_inputs": len(expected), "largest_difference": largest}


def _row(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "digest": digest.of_file(file)}
