from types import SimpleNamespace

import pytest

from regraft.tune.doubts import doubts


def plan(solver):
    return SimpleNamespace(phases=[SimpleNamespace(solver=solver)], settings=SimpleNamespace(lr=1e-3))


def document(*matrix):
    return {"confusion": {"classes": ["free", "crack"], "matrix": [list(row) for row in matrix]}}


def test_a_run_that_names_one_class_for_everything_says_so_and_what_to_try():
    [said] = doubts([document((9, 0), (4, 0))], plan("gradient"))
    assert "every example is answered 'free'" in said and "--lr 0.0001, or --strategy linear_probe" in said
    [said] = doubts([document((9, 0), (4, 0))], plan("closed_form"))
    assert "--lr" not in said


@pytest.mark.parametrize(
    "documents",
    [
        [document((9, 0), (3, 1))],
        [document((9, 0), (0, 0))],  # one class is all that there is
        [document((9, 0), (4, 0)), document((9, 0), (0, 4))],  # what counts is the last split
        [{"confusion": {"classes": [], "matrix": []}}],
        [{"metrics": {}}],
        [],
    ],
)
def test_nothing_is_said_without_reason(documents):
    assert doubts(documents, plan("gradient")) == []
