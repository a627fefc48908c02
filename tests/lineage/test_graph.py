from __future__ import annotations

from regraft.lineage.graph import drawn, ordered


def rows(**parents: str):
    """Newest first: name=its parents in one word."""
    return [{"digest": name, "parents": list(given)} for name, given in parents.items()]


def picture(found) -> str:
    return "\n".join(f"{line} {row['digest']}" if row else line for line, row in drawn(found))


def test_a_chain_is_one_line():
    assert picture(rows(c="b", b="a", a="")) == "● c\n● b\n○ a"


def test_a_merge_draws_a_line_to_each_of_its_parents():
    assert picture(rows(m="ab", b="r", a="r", r="")) == "●─╮ m\n│ ● b\n● │ a\n○─╯ r"
    assert picture(rows(m="abc", c="", b="", a="")) == "●─┬─╮ m\n│ │ ○ c\n│ ○ b\n○ a"


def test_two_children_meet_at_their_parent():
    assert picture(rows(c="a", b="a", a="")) == "● c\n│ ● b\n○─╯ a"


def test_a_merge_that_has_two_children_gets_a_line_between():
    assert picture(rows(y="m", x="m", m="ab", b="", a="")) == "● y\n│ ● x\n●─╯ m\n├─╮\n│ ○ b\n○ a"


def test_a_parent_that_a_line_leads_to_already_is_joined_there():
    assert picture(rows(c="a", m="ba", b="a", a="")) == "● c\n├─● m\n│ ● b\n○─╯ a"


def test_lines_that_cross_are_drawn_so():
    crossing = picture(rows(c="r", d="s", m="tr", t="", s="", r=""))
    assert "┼" in crossing and crossing.splitlines()[2] == "├─┼─● m"


def test_children_stand_above_their_parents_whatever_the_clock_said():
    assert [row["digest"] for row in ordered(rows(a="", b="a", c="b"))] == ["c", "b", "a"]


def test_a_parent_that_was_swept_ends_the_line():
    assert picture(rows(b="x", a="")) == "● b\n○ a"
