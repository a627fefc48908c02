"""Tasks are found by name; installed packages may add some, and may not replace ours."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from regraft import tasks
from regraft.errors import RequestError
from regraft.spec import FORMS
from regraft.tasks import registry


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Installs one entry point for the length of a test."""

    def installed(point: EntryPoint):
        monkeypatch.setattr(registry, "entry_points", lambda group: [point])
        registry.installed.cache_clear()

    yield installed
    registry.installed.cache_clear()


def test_every_form_has_its_task_and_every_task_its_form():
    assert tasks.names() == tuple(sorted(FORMS))
    assert all(tasks.of(name).form == form and tasks.of(name).name == name for name, form in FORMS.items())
    assert tasks.of("image-regression").kind == "image"


def test_an_unknown_task_is_answered_with_the_nearest_name():
    with pytest.raises(RequestError, match=r"asked: task 'text-clasification'\n.*\ntry:   did you mean 'text-classification'\?"):
        tasks.of("text-clasification")


def test_an_installed_task_is_found(install):
    install(EntryPoint("mine", "regraft.tasks.classification:TEXT_CLASSIFICATION", registry.GROUP))
    assert "mine" in tasks.names()
    assert tasks.of("mine") is tasks.of("text-classification")


def test_an_installed_task_may_not_take_a_built_in_name(install):
    install(EntryPoint("text-classification", "elsewhere:TASK", registry.GROUP))
    with pytest.raises(RequestError, match="elsewhere:TASK would replace the built-in one"):
        tasks.of("text-classification")
