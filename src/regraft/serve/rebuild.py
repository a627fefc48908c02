"""A network from a generation alone: architecture from its source, edits from their records, weights from the store.

What is read from the manifest, and so must be written there:

| key | what it says |
|---|---|
| source | how to make the empty architecture (``trunk.load.rebuild``); the assets hold the files that this needs |
| input, pooling | the trunk's door as it was trained (``InputSpec``; a resized input included), and how its features are pooled |
| task, classes, facts | which head stands on top, what its outputs are called, in order, and what else its task knows of its data |
| edits | ``EditRecord.json()`` of every edit that stands in the network |
| plan.settings.max_length | tokens per text; 0: as many as the model reads |

Tensors are named as in ``Network.state_dict()``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from regraft import tasks
from regraft.errors import LineageError
from regraft.lineage.record import Generation
from regraft.lineage.store import Store
from regraft.spec import InputSpec
from regraft.surgery.edits import EditRecord, is_structural
from regraft.surgery.edits import rebuild as stand_edits
from regraft.surgery.heads import LinearHead, strip
from regraft.tasks import Task
from regraft.trunk import load
from regraft.trunk.network import Network
from regraft.trunk.tensors import load_state
from regraft.trunk.trunk import Trunk

OWN_HEAD = "head.linear."
"""What the names of a language model's own output layer begin with."""
NEEDED = ("source", "input", "pooling", "task", "classes", "edits", "plan")


@dataclass(frozen=True, eq=False, slots=True)
class Rebuilt:
    """``network`` in eval mode on the CPU; ``classes`` in the order of its logits; ``spec`` and ``tokenizer``: what its inputs go through.

    ``manifest``: the generation's, for everything else.
    """

    network: Network
    task: Task
    classes: tuple[str, ...]
    spec: InputSpec
    tokenizer: Any
    manifest: dict[str, Any]

    @property
    def max_length(self) -> int:
        """Tokens per text; 0: as many as the model reads."""
        return int(self.manifest["plan"]["settings"].get("max_length", 0))


def network(store: Store, name: str, *, head: str | None = None) -> Rebuilt:
    """Rebuild the generation that ``name`` means (a name, tag or digest). ``head``: of several tasks that it learned together, one alone.

    Every digest is recomputed first: bytes that do not match are never served (``DamagedError``).
    """
    generation = store.get(name)
    store.verify(generation)
    manifest = generation.manifest
    _check(generation)
    task, classes, spec = (
        tasks.of(manifest["task"]).bound(manifest.get("facts", {})),
        tuple(manifest["classes"]),
        InputSpec.from_json(manifest["input"]),
    )
    trunk = load.rebuild(manifest["source"], store.assets(generation))
    trunk.pooling, trunk.input = manifest["pooling"], spec
    strip(trunk)
    made = Network(trunk, task.head(trunk, len(classes), 0.0))
    stand_edits(made, [EditRecord.from_json(record) for record in manifest["edits"]])
    load_state(made, store.tensor_files(generation, verify=False))
    if head is not None:
        task, classes = _alone(made, task, head)
    made.requires_grad_(False).eval()
    return Rebuilt(made, task, classes, spec, trunk.tokenizer, manifest)


def _alone(network: Network, task: Task, head: str) -> tuple[Task, tuple[str, ...]]:
    """Leave the network the rows of one of its heads; the task behind it, and its classes."""
    member = next(one for one in task.members if one.name == head)
    whole = network.head
    assert isinstance(whole, LinearHead)
    part = LinearHead(whole.linear.in_features, member.outputs.stop - member.outputs.start, whole.pooling, whole.dropout.p)
    with torch.no_grad():
        part.linear.weight.copy_(whole.linear.weight[member.outputs])
        part.linear.bias.copy_(whole.linear.bias[member.outputs])
    network.head = part
    return member.task, member.classes


def start(store: Store, generation: Generation) -> Network:
    """The network that the training of ``generation`` began from: its parent, else the pretrained one under a head of its own."""
    if generation.parent is not None:
        return network(store, generation.parent).network
    manifest = generation.manifest
    trunk = pretrained(store, generation)
    made = Network(trunk, tasks.of(manifest["task"]).bound(manifest.get("facts", {})).head(trunk, len(manifest["classes"]), 0.0))
    return made.requires_grad_(False).eval()


def pretrained(store: Store, generation: Generation) -> Trunk:
    """The trunk as it was before any training, from the store, its own head off; with the surgery that its reference asks for."""
    trunk = load.rebuild(generation.manifest["source"], store.assets(generation))
    trunk.pooling, trunk.input = generation.manifest["pooling"], InputSpec.from_json(generation.manifest["input"])
    strip(trunk)
    records = [EditRecord.from_json(row) for row in generation.manifest["edits"]]
    stand_edits(Network(trunk, LinearHead(trunk.width, 1, trunk.pooling)), [one for one in records if is_structural(one.edit)])
    files = store.tensor_files(store.read("bases", generation.base or ""))
    load_state(trunk.host, {name.removeprefix("host."): place for name, place in files.items() if name.startswith("host.")})
    if trunk.own_head is not None and not trunk.ties_head:
        load_state(trunk.own_head, {name.removeprefix(OWN_HEAD): place for name, place in files.items() if name.startswith(OWN_HEAD)})
    return trunk


def _check(generation: Generation) -> None:
    missing = [key for key in NEEDED if key not in generation.manifest]
    if missing:
        raise LineageError(
            f"rebuild {generation}",
            f"its manifest does not say: {', '.join(missing)}",
            "tune again; this one was not written by regraft tune",
        )
