from __future__ import annotations

import pytest

from regraft.errors import TrunkError
from regraft.trunk.select import select_modules, select_stages

NAMES = ("stem.0", "stem.1", "blocks.0", "blocks.1", "blocks.2", "neck", "head")
PATHS = (
    "encoder.layer.0.attention.self.query", "encoder.layer.0.attention.self.key", "encoder.layer.0.attention.self.value",
    "encoder.layer.0.attention.output.dense", "encoder.layer.0.intermediate.dense", "encoder.layer.0.output.dense",
)  # fmt: skip


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("all", (0, 1, 2, 3, 4, 5)),
        ("stem", (0, 1)),
        ("blocks", (2, 3, 4)),
        ("blocks.1", (3,)),
        (3, (3,)),
        (-1, (5,)),
        ("-1", (5,)),
        ("blocks.1:", (3, 4, 5)),
        (":blocks.0", (0, 1)),
        ("1:3", (1, 2)),
        ("stem,neck", (0, 1, 5)),
        (["head", "blocks.0"], (2, 6)),
    ],
)
def test_stages_by_name_index_range_and_list(selection, expected):
    assert select_stages(NAMES, selection) == expected


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        ("block.1", r"stage 'block\.1'(.|\n)*did you mean 'blocks\.1'"),
        ("9", r"the trunk has 6 stages, 0 to 5"),
        ("blocks.1:blocks.1", "nothing matches"),
    ],
)
def test_a_selection_that_matches_nothing_is_an_error(selection, sentence):
    with pytest.raises(TrunkError, match=sentence):
        select_stages(NAMES, selection)


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("attention", 4),
        ("query", 1),
        ("query,value", 2),
        ("mlp", 2),
        ("linear", 6),
        ("dense", 3),
        ("encoder.layer.0.output.dense", 1),
        ("*self*", 3),
    ],
)
def test_modules_by_role_last_name_and_glob(where, count):
    assert len(select_modules(PATHS, where)) == count


def test_modules_that_match_nothing_name_the_nearest():
    with pytest.raises(TrunkError, match=r"modules 'qery'(.|\n)*did you mean 'query'"):
        select_modules(PATHS, "qery")
