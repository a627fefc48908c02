"""A step of growth that was killed goes on where it was, and ends as it would have; one that has ended is what it made."""

from __future__ import annotations

import pytest

import regraft as rg
from regraft.train.history import Observer
from small import write_tickets

STEP = {"way": "replay", "epochs": 3.0, "lr": 1e-3, "batch_size": 8, "tolerance": 1.0}


class Killed(Exception):
    pass


@pytest.fixture
def family(model, tmp_path):
    store = tmp_path / "store"
    parent = rg.tune(write_tickets(tmp_path / "old.csv"), model=model, store=store, strategy="linear_probe", name="mine")
    return parent, write_tickets(tmp_path / "more.csv", classes=4, per_class=30)


def killing_after(epochs: int) -> Observer:
    class Killer(Observer):
        seen = 0

        def on_epoch(self, *told, **more):
            self.seen += 1
            if self.seen == epochs:
                raise Killed

    return Killer()


@pytest.mark.parametrize("way", ["replay", "deep"])
def test_a_killed_step_ends_as_it_would_have(family, way):
    parent, more = family
    whole = rg.grow(parent, more, name="whole", **{**STEP, "way": way})
    with pytest.raises(Killed):
        rg.grow(parent, more, name="cut", observer=killing_after(2), **{**STEP, "way": way})
    assert "cut" not in parent.store.names()
    resumed = rg.grow(parent, more, name="cut", resume=True, **{**STEP, "way": way})
    assert resumed.digest == whole.digest
    assert len(resumed.document["plan"]["phases"]) == 1


def test_a_step_that_has_ended_is_not_taken_again(family):
    parent, more = family
    child = rg.grow("mine", more, store=parent.store.location, **STEP)
    again = rg.grow("mine", more, store=parent.store.location, resume=True, **STEP)
    assert again.digest == child.digest and again.document == child.document


HEAD = {"new_task": "again", "strategy": "lora(rank=2)", "epochs": 3.0, "lr": 1e-3, "batch_size": 8, "control": False}


def test_a_killed_head_ends_as_it_would_have(family):
    parent, more = family
    whole = rg.grow(parent, more, name="whole", **HEAD)
    with pytest.raises(Killed):
        rg.grow(parent, more, observer=killing_after(2), **HEAD)
    assert "mine.again" not in parent.store.names()
    resumed = rg.grow(parent, more, resume=True, **HEAD)
    assert parent.store.names()["mine.again"] == resumed.digest == whole.digest


def test_a_head_that_was_killed_in_its_control_is_not_trained_again(family, monkeypatch):
    from regraft.tune.execute import Execution

    parent, more = family
    controlled = {**HEAD, "control": True}
    whole = rg.grow(parent, more, name="whole", **controlled)

    def killed(run, split):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Execution, "measured", killed)
        with pytest.raises(Killed):
            rg.grow(parent, more, **controlled)
    epochs = Seen()
    resumed = rg.grow(parent, more, resume=True, observer=epochs, **controlled)
    assert epochs.count == 0
    assert (resumed.digest, resumed.document["control"]) == (whole.digest, whole.document["control"])


class Seen(Observer):
    count = 0

    def on_epoch(self, *told, **more):
        self.count += 1


def test_a_head_that_has_ended_is_not_made_again(family):
    parent, more = family
    child = rg.grow(parent, more, **HEAD)
    epochs = Seen()
    again = rg.grow(parent, more, resume=True, observer=epochs, **HEAD)
    assert (again.digest, again.document, epochs.count) == (child.digest, child.document, 0)
