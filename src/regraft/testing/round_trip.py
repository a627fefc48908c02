"""Law 8: saved, loaded and asked in a fresh process that knows only ``serve``, a network answers the same, to the last bits that a product's order of summing decides."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from regraft.lineage import Store, TensorData
from regraft.surgery.edits import EditRecord
from regraft.testing.law import law
from regraft.testing.model_laws import logits_of
from regraft.trunk import tensors
from regraft.trunk.network import Network
from regraft.trunk.trunk import Inputs

ASK = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file, save_file
from regraft.lineage.store import Store
from regraft.serve import rebuild
torch.set_num_threads(int(sys.argv[2]))
folder = Path(sys.argv[1])
for place in sorted(folder.glob("*.inputs")):
    with torch.no_grad():
        logits = rebuild.network(Store(folder / "store"), place.stem).network(load_file(place))
    save_file({"logits": logits.contiguous()}, folder / f"{place.stem}.logits")
print(*sorted(m for m in sys.modules if m.startswith(("regraft.plan", "regraft.train", "regraft.tune", "regraft.advise"))))
"""


ROUNDING = 1e-7
"""Of the largest logit, and at least of 1. A matrix library may sum in another order where weights lie elsewhere in memory: on a processor with AVX2 a recurrent network's logits were 3e-9 apart."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stored:
    """A network to be stored: ``trunk.source`` must say how to make its architecture. ``edits``: records of those that stand in it."""

    network: Network
    task: str
    inputs: Inputs
    edits: Sequence[EditRecord] = ()


def check_round_trip(cases: Mapping[str, Stored]) -> int:
    """Law 8 for all ``cases`` in one fresh process; returns how many there were."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        expected = {name: _stored(folder, f"case-{number}", case) for number, (name, case) in enumerate(cases.items())}
        command = [sys.executable, "-c", ASK, place, str(torch.get_num_threads())]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        law(asked.returncode == 0, f"a fresh process could not answer: {asked.stderr[-600:]}")
        law(
            not asked.stdout.strip(),
            f"what these models are made of imports {asked.stdout.strip()}: keep it apart from strategies and training",
        )
        for number, (name, logits) in enumerate(expected.items()):
            found = load_file(folder / f"case-{number}.logits")["logits"]
            difference = float((found - logits).abs().max())
            law(
                difference <= ROUNDING * max(1.0, float(logits.abs().max())),
                f"{name}: loaded in a fresh process, its logits differ by {difference:.1e}",
            )
    return len(expected)


def _stored(folder: Path, name: str, case: Stored) -> Tensor:
    """The logits of a network that is put into the store, its inputs beside it."""
    network = case.network
    packed = {key: TensorData(*bits) for key, bits in tensors.state(network).items()}
    Store(folder / "store").add(_manifest(case), packed, assets=network.trunk.assets, name=name)
    save_file({key: tensor.contiguous() for key, tensor in case.inputs.items()}, folder / f"{name}.inputs")
    return logits_of(network, {key: tensor.contiguous() for key, tensor in case.inputs.items()})


def _manifest(case: Stored) -> dict[str, Any]:
    trunk, head = case.network.trunk, case.network.head
    num_classes = int(head.linear.out_features)  # type: ignore[union-attr, arg-type]
    return {
        "task": case.task,
        "model": trunk.reference or "toy",
        "classes": [str(index) for index in range(num_classes)],
        "source": trunk.source,
        "input": trunk.input.json(),
        "pooling": trunk.pooling,
        "edits": [record.json() for record in case.edits],
        "plan": {"settings": {"max_length": 0}},
    }
