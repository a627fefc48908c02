"""Writing a generation: the manifest, the tensors that no ancestor has, and the files that a rebuilt model needs."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from regraft import lineage
from regraft.lineage import TensorData
from regraft.plan.plan import Plan
from regraft.trunk import tensors
from regraft.trunk.network import Network
from regraft.trunk.trunk import Trunk
from regraft.tune.job import Job

PACKAGES = ("torch", "torchvision", "timm", "transformers", "peft", "numpy")


def base(store: lineage.Store, trunk: Trunk) -> str:
    """The digest of the pretrained trunk in the store, put there once for all generations."""
    manifest = {"reference": trunk.reference, "source": trunk.source, "family": trunk.family}
    own = tensors.state(trunk.own_head, prefix="head.linear.") if trunk.own_head is not None and not trunk.ties_head else {}
    return store.add_base(manifest, packed({**tensors.state(trunk.host, prefix="host."), **own}), trunk.assets)


def write(
    store: lineage.Store, job: Job, plan: Plan, network: Network, *, name: str, facts: Mapping[str, Any], assets: Mapping[str, bytes], parent: str | None = None,
) -> lineage.Generation:  # fmt: skip
    """Add the generation. ``facts``: what the run found: metrics, cost, edits, warnings, and the base; ``parent``: what it grew from."""
    trunk = network.trunk
    manifest = {
        "schema": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": plan.task,
        "model": plan.model,
        "strategy": plan.strategy,
        "plan": {key: value for key, value in plan.json().items() if key != "data"},
        "data": plan.data,
        "classes": list(job.dataset.classes),
        "facts": dict(job.task.facts),
        "source": trunk.source,
        "family": trunk.family,
        "input": trunk.input.json(),
        "width": trunk.width,
        "pooling": trunk.pooling,
        "environment": environment(),
        **facts,
    }
    return store.add(manifest, packed(tensors.state(network)), assets={**trunk.assets, **assets}, name=name, parent=parent)


def packed(state: Mapping[str, Any]) -> dict[str, TensorData]:
    return {name: TensorData(*value) for name, value in state.items()}


def environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "regraft": version("regraft"),
        **{name: version(name) for name in PACKAGES},
    }


def seen(digests: Iterable[str]) -> dict[str, bytes]:
    """The first 8 bytes of the digest of every example that was trained on, sorted: a later evaluation can tell that it is no test."""
    return {"seen.examples": b"".join(sorted(bytes.fromhex(d[:16]) for d in digests))}
