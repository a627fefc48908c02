"""By gradient: a head with more rows on new and kept examples, distilled from the parent; deeper, the top of the trunk moves too.

Where the trunk moves without an edit, and the head is not solved on what came of that, the child ends on the straight way from the parent to what was trained (WiSE-FT, 2109.01903), where
valid is best; valid holds a share of the kept examples, so that what was known counts there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regraft.grow.execution import Growing
from regraft.train.history import History
from regraft.trunk.network import Network
from regraft.tune.execute import Measured

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(eq=False, kw_only=True)
class Replaying(Growing):
    """``sweeps``: look for the best place between the parent and the trained child."""

    sweeps: bool = False

    def trained(self) -> tuple[Network, History, dict[str, Measured]]:
        network, history, measured = super().trained()
        # a head that is solved after the trunk has moved fits the trunk at the end of the way, not between
        moved = any(cell.trainable for cell in self.plan.phases[-1].cells[:-1])
        if self.sweeps and moved and not history.edits and "valid" in measured:
            measured["valid"] = self._swept(network, measured["valid"])
        return network, history, measured

    def _swept(self, network: Network, trained: Measured) -> Measured:
        """Leaves ``network`` at the best share of the way; of equal ones at the one nearest to the parent."""
        end = {name: tensor.clone() for name, tensor in _floating(network).items()}
        start = _floating(self.job.network(dropout=0.0, seed=self.plan.settings.seed).to(next(network.parameters()).device))
        found: dict[float, Measured] = {1.0: trained}
        for share in SHARES[:-1]:
            _blend(network, start, end, share)
            found[share] = self.answered(network, "valid")
        recalls = {share: _balanced_accuracy(measured) for share, measured in found.items()}
        best = max(SHARES, key=lambda share: (recalls[share], -share))
        _blend(network, start, end, best)
        told = ", ".join(f"{share:g}: {recalls[share]:.4f}" for share in SHARES)
        self.plan = self.plan.because(f"wise_ft {best:g}: best on valid between the parent and what was trained ({told})")
        return found[best]


def _floating(network: Network) -> dict[str, Tensor]:
    """What may lie between two models: every floating tensor of the trunk, and none of the head, whose new rows have no start."""
    return {
        name: tensor.detach() for name, tensor in network.state_dict().items() if tensor.is_floating_point() and name.startswith("host.")
    }


@torch.no_grad()
def _blend(network: Network, start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> None:
    live: dict[str, Any] = network.state_dict()
    for name, tensor in end.items():
        live[name].copy_(torch.lerp(start[name].to(tensor), tensor, share))


def _balanced_accuracy(measured: Measured) -> float:
    """Each class counted alike: fewer old examples than new ones watch."""
    return float(measured.document["metrics"]["balanced_accuracy"]["value"])
