"""The options that several verbs share, each written once. Their list is held by a golden test: adding one is a visible act."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_args

import typer
from typer.models import ArgumentInfo

from regraft.cli.resolve import resolved

DATA = typer.Argument(
    help="a folder of class folders, a folder with train/ valid/ test/, images/ beside masks/, or a CSV, TSV, JSONL or Parquet file"
)
Data = Annotated[str, DATA]
Name = Annotated[str, typer.Argument(help="a generation: its name, tag, name~1, or the start of its digest")]
Head = Annotated[
    str | None, typer.Option("--head", help="one of its several tasks, or a further head on its trunk (regraft grow --new-task)")
]
Json = Annotated[bool, typer.Option("--json", help="print exactly one JSON document on stdout")]
Store = Annotated[str | None, typer.Option("--store", help="folder of the lineage [default: $REGRAFT_STORE, else the nearest .regraft/]")]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="model reference, e.g. bundled:minilm, timm:resnet50, file:PATH [default: chosen]")
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="e.g. text-classification, text-regression, text-multilabel, token-classification, semantic-segmentation [default: inferred]",
    ),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="column that holds the text or the image path; two for pairs: first,second; more are a row of columns [default: inferred]",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="column that holds the label, number, tags or mask; first,second for several tasks at once; ignore=255 leaves out pixels of that value [default: inferred]",
    ),
]
StrategyText = Annotated[
    str | None, typer.Option("--strategy", "-s", help="e.g. lp_ft, top(n=2), 'freeze(below=blocks.3)+lora(rank=8)' [default: chosen]")
]
ObjectiveText = Annotated[
    str | None, typer.Option("--objective", help="beside the task's loss, e.g. l2_sp, 'distill(teacher=NAME)+r_drop' [default: none]")
]
Epochs = Annotated[float | None, typer.Option("--epochs", help="passes over the training data [default: chosen]")]
Lr = Annotated[str | None, typer.Option("--lr", help="learning rate, or 'find' for a range test [default: chosen]")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="examples per step [default: chosen]")]
Seed = Annotated[int | None, typer.Option("--seed", help="of everything random [default: 0]")]
GenerationName = Annotated[str | None, typer.Option("--name", help="name of the generation [default: from the data's name]")]
Recipe = Annotated[str | None, typer.Option("--recipe", "-r", help="YAML file with any of these settings; flags win over it")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="any setting, e.g. --set label_smoothing=0.1 --set augment.flip=0.5; repeatable")
]
AllowRejected = Annotated[bool, typer.Option("--allow-rejected", help="go on though more than 1% of the rows cannot be used")]

REQUEST: dict[str, Any] = {
    "model": Model,
    "task": Task,
    "strategy": StrategyText,
    "objective": ObjectiveText,
    "input": Input,
    "target": Target,
    "epochs": Epochs,
    "lr": Lr,
    "batch_size": BatchSize,
    "seed": Seed,
    "name": GenerationName,
    "recipe": Recipe,
    "set": Set,
    "allow_rejected": AllowRejected,
}
"""What ``plan``, ``tune`` and their kin can be told about one run."""


def with_request(run: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of ``REQUEST``. It is called as ``run(data, options, ...its own)``, ``options`` as merged by ``resolve``; its own
    arguments are typed before DATA."""

    def command(**values: Any) -> None:
        given = {name: values.pop(name) for name in REQUEST}
        run(*resolved(values.pop("data"), given), **values)

    own = [parameter for name, parameter in signature(run, eval_str=True).parameters.items() if name not in ("data", "given")]
    first = [parameter for parameter in own if any(isinstance(part, ArgumentInfo) for part in get_args(parameter.annotation))]
    shared = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=False if kind is AllowRejected else None, annotation=kind)
        for name, kind in REQUEST.items()
    ]
    data = Parameter("data", Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, DATA])
    rest = [parameter for parameter in own if parameter not in first]
    parameters = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*first, data, *shared, *rest)]
    setattr(command, "__signature__", Signature(parameters))  # noqa: B010  typer reads the options from here
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__, command.__name__ = run.__doc__, run.__name__
    return command
