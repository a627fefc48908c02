"""The classifier with which a trunk was pretrained: what Co-Tuning asks for. It is off the trunk, so the model is loaded once more for it."""

from __future__ import annotations

from torch import nn

from regraft.errors import PlanError
from regraft.plan.objective import Objectives
from regraft.plan.surgery import split_model
from regraft.train.objective import declared
from regraft.trunk import load as models
from regraft.trunk.trunk import Trunk
from regraft.tune.job import Job

ADVICE = "a model that comes with its classifier, such as bundled:vision or a timm or torchvision model pretrained on ImageNet; or another objective, such as l2_sp or delta"


def told(objectives: Objectives, job: Job) -> tuple[str, ...]:
    """What a plan says of it, where an objective asks for it. Raises ``PlanError`` where the model has none."""
    asking = [one.name for one in objectives if any(ask.what == "source_head" for ask in declared(one).asks)]
    if not asking:
        return ()
    path = _path(job.trunk, job)
    return (f"{asking[0]}: the classifier that {split_model(job.reference)[0]} was pretrained with ({path}) learns on beside the head",)


def source_head(job: Job) -> nn.Module:
    """Features (B, width) of the trunk of ``job`` -> logits of the categories that it was pretrained on."""
    model, _ = split_model(job.reference)
    trunk = models.load(model, input_size=int(job.request.settings.get("input_size", 0)))
    head = trunk.host.get_submodule(_path(trunk, job))
    layers = [module for module in head.modules() if isinstance(module, nn.Linear)]
    if not layers or layers[0].in_features != job.trunk.width:
        found = "is no linear layer" if not layers else f"reads {layers[0].in_features} features, and the trunk gives {job.trunk.width}"
        raise PlanError(f"co_tuning with {job.reference}", f"its classifier {found}", ADVICE)
    return head


def _path(trunk: Trunk, job: Job) -> str:
    if job.dataset.form.target != "class":
        raise PlanError(
            f"co_tuning for {job.dataset.task}", "its examples do not have one class out of several each", "a classification task"
        )
    if trunk.pooling != "none" or not trunk.head_paths:
        raise PlanError(f"co_tuning with {job.reference}", "it comes without the classifier that it was pretrained with", ADVICE)
    if len(trunk.head_paths) > 1:
        raise PlanError(
            f"co_tuning with {job.reference}", f"it has {len(trunk.head_paths)} classifiers: {', '.join(trunk.head_paths)}", ADVICE
        )
    return trunk.head_paths[0]
