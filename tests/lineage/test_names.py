from __future__ import annotations

from pathlib import Path

import pytest

from lineage.making import tuned
from regraft.errors import LineageError


def test_a_name_moves_on_and_keeps_its_history(store):
    first, second, third = (tuned(store, head) for head in (1.0, 2.0, 3.0))
    assert store.get("tickets") == third
    assert [store.get(f"tickets~{n}") for n in (0, 1, 2)] == [third, second, first]
    assert store.get("tickets~") == second
    with pytest.raises(LineageError, match="the history of 'tickets' does not go back so far"):
        store.get("tickets~3")
    with pytest.raises(LineageError, match="after '~' stands a number"):
        store.get("tickets~x")


def test_rollbacks_go_further_back_and_can_be_taken_back(store):
    first, second, third = (tuned(store, head) for head in (1.0, 2.0, 3.0))
    assert store.rollback("tickets") == second == store.get("tickets")
    assert store.get("tickets~1") == first
    assert store.rollback("tickets") == first
    assert store.rollback("tickets", to=third.digest[:12]) == third
    assert store.get("tickets~1") == second
    assert [entry.why for entry in store.history("tickets")] == ["add", "add", "add", "rollback", "rollback", "rollback"]


def test_what_follows_a_rollback_stands_on_it(store):
    first, _ = tuned(store, 1.0), tuned(store, 2.0)
    store.rollback("tickets")
    third = tuned(store, 3.0)
    assert (store.get("tickets"), store.get("tickets~1")) == (third, first)


def test_a_rollback_without_a_past_says_what_there_was(store):
    first, other = tuned(store, 1.0), tuned(store, 9.0, name="other")
    with pytest.raises(LineageError, match=f"'tickets' has only pointed at: {first.digest[:12]}"):
        store.rollback("tickets")
    with pytest.raises(LineageError, match=f"rollback of 'tickets' to 'other'\nfound: 'tickets' has only pointed at: {first.digest[:12]}"):
        store.rollback("tickets", to="other")
    with pytest.raises(LineageError, match="did you mean 'tickets'"):
        store.rollback("tikets")
    assert store.get("other") == other


def test_digests_may_be_shortened_until_they_are_ambiguous(store):
    generations = [tuned(store, float(n), name=f"n{n}") for n in range(40)]
    target = generations[7]
    assert store.get(target.digest) == store.get(target.digest[:16]) == target
    with pytest.raises(LineageError, match="no name, tag or digest"):
        store.get(target.digest[:3])
    twin = target.digest[:8] + ("0" if target.digest[8] != "0" else "1") * 56
    path = Path(store.location) / "generations"
    (path / f"{twin}.json").write_bytes(b"")
    with pytest.raises(LineageError, match="2 digests begin so: "):
        store.get(target.digest[:8])


def test_steps_from_a_digest_or_tag_go_to_the_parent(store):
    first = tuned(store, 1.0, name="one")
    second = tuned(store, 2.0, name="two", parent="one")
    store.tag("two", "released")
    assert store.get(f"{second.digest[:10]}~1") == first == store.get("released~1")
    assert store.lineage("two") == [second, first]
    with pytest.raises(LineageError, match="has no parent"):
        store.get("released~2")


def test_tags_stand_move_and_go(store):
    first, second = tuned(store, 1.0), tuned(store, 2.0)
    assert store.tag("tickets~1", "released") == first == store.get("released")
    store.tag("tickets", "released")
    assert store.tags() == {"released": second.digest}
    with pytest.raises(LineageError, match="'tickets' is already the name of a model"):
        store.tag("released", "tickets")
    store.untag("released")
    assert store.tags() == {}
    with pytest.raises(LineageError, match="the store has no such tag"):
        store.untag("released")


def test_the_log_is_newest_first_with_parents_and_tags(store):
    first = tuned(store, 1.0, metrics={"test": {"accuracy": 0.5}})
    second = tuned(store, 2.0, parent="tickets")
    store.tag("tickets~1", "old")
    newest, oldest = store.log()
    assert (newest["digest"], newest["parent"], newest["tags"], newest["names"]) == (second.digest, first.digest, [], ["tickets"])
    assert (oldest["name"], oldest["strategy"], oldest["metrics"], oldest["tags"]) == (
        "tickets",
        "full",
        {"test": {"accuracy": 0.5}},
        ["old"],
    )
    assert set(oldest) >= {"name", "digest", "parent", "created", "strategy", "metrics", "stored_bytes", "tags"}


def test_an_unknown_reference_gets_the_nearest_spelling(store):
    with pytest.raises(LineageError, match="is empty\ntry:   regraft tune DATA"):
        store.get("tickets")
    tuned(store, 1.0)
    with pytest.raises(LineageError, match="did you mean 'tickets'"):
        store.get("tikets")


def test_an_unfinished_entry_of_a_journal_is_passed_over(store):
    generation = tuned(store, 1.0)
    (Path(store.location) / "names" / "tickets" / "000002.json").write_bytes(b'{"gen')
    assert store.get("tickets") == generation
    assert tuned(store, 2.0) == store.get("tickets")
    assert store.get("tickets~1") == generation


def test_generations_of_one_moment_are_still_in_order(store):
    digests = [tuned(store, float(n), created="2026-01-01T00:00:00").digest for n in range(12)]
    assert [row["digest"] for row in store.log()] == digests[::-1]
