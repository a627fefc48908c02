"""Laws of tasks, over every task that is registered."""

from __future__ import annotations

import pytest

from regraft import tasks, testing
from regraft.spec import FORMS


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_keeps_its_promises(name):
    assert testing.check_task(name) == {"losses": 12, "answers": 12, "facts": 12}


def test_every_form_was_looked_at():
    assert set(tasks.names()) >= set(FORMS)
    assert len(FORMS) == 22
