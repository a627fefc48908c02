"""``dice(weight=1)``: for masks, the overlap of answer and truth, in which a small defect counts as much as all of the sound rest.

    task's loss + weight * (1 - mean over the classes of the image of  2 sum(p g) / (sum(p^2) + sum(g^2)))

p: the probability of the class at each pixel that counts, g: 1 where it is the truth (Milletari et al. 2016, 1606.04797; for several classes
their mean, over those that the truth of the image has).
"""

from __future__ import annotations

from torch import Tensor, nn

from regraft.data.encoded import IGNORE
from regraft.errors import PlanError
from regraft.tasks.segmentation import at_pixels
from regraft.train.objective import Declared, Losses, Start, Term, objective, require


@objective
def dice(*, weight: float = 1.0) -> Declared:
    require(weight >= 0, f"dice(weight={weight:g})", "weight is not negative")
    return Declared(lambda start: _term(start, weight))


def _term(start: Start, weight: float) -> Term:
    if start.task.form.target != "mask":
        raise PlanError(f"dice for {start.plan.task}", "its examples have no masks to overlap with", "a segmentation task")

    def changed(inner: Losses) -> Losses:
        return lambda logits, targets: inner(logits, targets) + weight * dice_losses(logits, targets)

    return Term(losses=changed)


def dice_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """(B,) from logits (B, k, h, w) of any size and ``targets`` (B, H, W); 0 for an image without a pixel that counts."""
    counting = (targets != IGNORE)[:, None]
    found = at_pixels(logits, targets.shape[-2:]).softmax(1) * counting
    truth = nn.functional.one_hot(targets.clamp(min=0), logits.shape[1]).movedim(-1, 1) * counting
    sizes = truth.sum((2, 3))
    overlap = 2 * (found * truth).sum((2, 3)) / (found.square().sum((2, 3)) + sizes).clamp(min=1e-6)
    there = sizes > 0
    return ((1 - overlap) * there).sum(1) / there.sum(1).clamp(min=1)
