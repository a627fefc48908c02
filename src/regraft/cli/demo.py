"""``regraft demo``: the main job end to end on bundled data and a bundled model, offline."""

from __future__ import annotations

from importlib.resources import files

from regraft.cli import options
from regraft.cli.console import emit_json, say
from regraft.cli.predict import text as predictions_text
from regraft.cli.tune import conduct
from regraft.cli.tune import text as tune_text

QUESTIONS = ["The parcel never came, where is it?", "I want my money back", "我忘记密码了,登录不了", "How do I end my membership?"]
EPOCHS = 10.0
"""Fewer than would be chosen: the demo is to end within two minutes on two cores."""


def run(store: options.Store = None, json: options.Json = False) -> None:
    """The main job end to end on bundled support tickets and a bundled model, offline."""
    tickets = str(files("regraft.data") / "demo" / "tickets.csv")
    document = conduct(tickets, {"name": "demo", "model": "bundled:minilm", "epochs": EPOCHS}, store=store, quiet=json)
    from regraft.tune.generation import open

    predictions = open("demo", store=store).predict(QUESTIONS)
    if json:
        return emit_json({**document, "predictions": predictions})
    say(tune_text(document))
    say("\nfour new tickets, labelled by it:\n" + predictions_text(predictions))
