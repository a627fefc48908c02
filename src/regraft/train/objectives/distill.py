"""``distill(teacher=NAME, temperature=2, weight=0.5)``: learn the answers of a teacher beside the targets (Hinton, Vinyals and Dean 2015, 1503.02531).

    (1 - weight) * task's loss + weight * T^2 * KL(softmax(teacher / T) || softmax(student / T))

Of a set of labels each is an answer of its own, a sigmoid in the softmax's place, and their divergences are summed as their losses are. A teacher that knows only some of the classes teaches these alone, both softmaxes being taken over them: with the parent as the teacher of
a network that grew new classes this is Learning without Forgetting (Li and Hoiem 2016, 1606.09282; their T is 2); with the same
classes it is self-distillation. The teacher sees each example once, in eval mode and without augmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regraft.errors import PlanError
from regraft.train.objective import Ask, Declared, Losses, Seen, Start, Term, objective, require
from regraft.train.objectives.class_counts import one_label

MIXES = frozenset({"mixup", "cutmix"})


@objective
def distill(*, teacher: str = "parent", temperature: float = 2.0, weight: float = 0.5) -> Declared:
    require(temperature > 0, f"distill(temperature={temperature:g})", "a temperature is above 0")
    require(0 <= weight <= 1, f"distill(weight={weight:g})", "the weight of the teacher lies between 0 and 1")
    ask = Ask("logits", teacher)
    return Declared(lambda start: _term(start, ask, temperature, weight), asks=(ask,))


def _term(start: Start, ask: Ask, temperature: float, weight: float) -> Term:
    refuse_mixing(start, "distill")
    of_sets = start.task.form.target == "set"
    if not of_sets:
        one_label(start, "distill")
    differ = set_divergence if of_sets else divergence
    held = start.brought(ask)
    known, columns = torch.as_tensor(held.logits).float(), torch.as_tensor(held.columns)
    if len(known) != len(start.train):
        raise PlanError(f"distill from {ask.of!r}", f"{len(known)} answers for {len(start.train)} training examples", "one answer for each")

    def shares(seen: Seen) -> Tensor:
        theirs = known[torch.as_tensor(seen.part.rows)].to(seen.logits.device)
        return weight * differ(theirs, seen.logits[:, columns.to(seen.logits.device)], temperature)

    def losses(inner: Losses) -> Losses:
        return lambda logits, targets: (1 - weight) * inner(logits, targets)

    return Term(losses=losses, shares=shares)


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """(B,) ``T^2 KL(teacher || student)`` of logits (B, m) softened by T; the square keeps gradients at one size for every T."""
    ours, theirs = (nn.functional.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return temperature**2 * nn.functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)


def set_divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """(B,) ``T^2`` times the sum over labels of KL(teacher || student) between the answers yes and no, of logits (B, m) softened by T."""
    theirs, ours = teacher / temperature, student / temperature
    yes = theirs.sigmoid() * (nn.functional.logsigmoid(theirs) - nn.functional.logsigmoid(ours))
    no = (-theirs).sigmoid() * (nn.functional.logsigmoid(-theirs) - nn.functional.logsigmoid(-ours))
    return temperature**2 * (yes + no).sum(1)


def refuse_mixing(start: Start, name: str) -> None:
    """A teacher's answers are to whole examples."""
    mixing = sorted(key for key, value in start.plan.settings.augment if key in MIXES and value)
    if mixing:
        raise PlanError(f"{name} with {', '.join(mixing)}", "the teacher has not seen mixed examples", f"--set augment.{mixing[0]}=0")
