"""Instructions, conversations, preference pairs and plain text, as people's files write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regraft.data import load
from regraft.data.passages import passages
from regraft.data.turns import fault, turns_of
from regraft.errors import DataError
from small_decoder import echoes


def records(tmp_path: Path, rows: list, name: str = "talks.json") -> Path:
    file = tmp_path / name
    text = "\n".join(map(json.dumps, rows)) if name.endswith(".jsonl") else json.dumps(rows)
    file.write_text(text, encoding="utf-8")
    return file


def read(tmp_path: Path, rows: list, **options):
    return load(records(tmp_path, rows), valid_fraction=0, test_fraction=0, **options)


def turns(tmp_path: Path, row: dict) -> list:
    return turns_of(read(tmp_path, [row]).splits["train"].inputs[0])


def test_alpaca_is_one_human_turn_and_an_answer(tmp_path):
    row = {"instruction": "Add.", "input": "1 2", "output": "3", "system": "Be brief.", "history": [["Hi", "Hello"]]}
    data = read(tmp_path, [row])
    assert data.task == "causal-language-model"
    assert "read as Alpaca" in " ".join(data.said)
    assert turns_of(data.splits["train"].inputs[0]) == [
        ("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Add.\n1 2"), ("assistant", "3")
    ]  # fmt: skip
    assert data.splits["train"].targets.tolist() == ["3"]


def test_sharegpt_with_a_function_call(tmp_path):
    said = [("human", "Rain?"), ("function_call", '{"name": "sky"}'), ("observation", "wet"), ("gpt", "Yes.")]
    row = {"conversations": [{"from": who, "value": what} for who, what in said], "tools": '[{"name": "sky"}]'}
    roles = [role for role, _ in turns(tmp_path, row)]
    assert roles == ["tools", "user", "call", "tool", "assistant"]


def test_messages_with_tool_calls_and_parts(tmp_path):
    call = {"type": "function", "function": {"name": "sky", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Rain?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "wet"},
        {"role": "assistant", "content": "Yes."},
    ]
    found = turns(tmp_path, {"messages": messages})
    assert [role for role, _ in found] == ["system", "user", "call", "tool", "assistant"]
    assert json.loads(found[2][1])["name"] == "sky"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Hello.", "rejected": "Go."},
        {"conversations": [{"from": "human", "value": "Hi"}], "chosen": {"from": "gpt", "value": "Hello."}, "rejected": {"from": "gpt", "value": "Go."}},
        {name: [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": said}] for name, said in (("chosen", "Hello."), ("rejected", "Go."))},
    ],
)  # fmt: skip
def test_preference_pairs_in_three_spellings(tmp_path, row):
    data = read(tmp_path, [row])
    assert data.task == "preference"
    assert turns_of(data.splits["train"].inputs[0]) == [("user", "Hi"), ("chosen", "Hello."), ("rejected", "Go.")]


def test_the_chosen_answers_can_be_learned_as_conversations(tmp_path):
    data = read(tmp_path, [{"prompt": "Hi", "chosen": "Hello.", "rejected": "Go."}], task="causal-language-model")
    assert turns_of(data.splits["train"].inputs[0]) == [("user", "Hi"), ("assistant", "Hello.")]


HI = {"from": "human", "value": "Hi"}
FAULTY = [
    ({"instruction": "Add.", "input": "", "output": " "}, "Alpaca record without output"),
    ({"conversations": [HI, HI, {"from": "gpt", "value": "x"}]}, "turns 1 and 2: two human turns in a row"),
    ({"conversations": [HI, {"from": "narrator", "value": "x"}]}, "turn 2: unknown role 'narrator'"),
    ({"conversations": [HI, {"from": "gpt", "value": ""}]}, "turn 2: an empty answer"),
    ({"conversations": [HI]}, "it ends without an answer of the model"),
    ({"conversations": [{"from": "gpt", "value": "x"}]}, "turn 1: a model turn begins the conversation"),
    ({"conversations": []}, "no turn of a conversation"),
    ({"conversations": "Hi"}, "column 'conversations' holds no list of turns"),
    ({"prompt": "Hi", "chosen": "Yes.", "rejected": "Yes. "}, "chosen and rejected are the same answer"),
    ({"prompt": "Hi", "chosen": "Yes.", "rejected": ""}, "the rejected answer is empty"),
]


@pytest.mark.parametrize(("row", "reason"), FAULTY, ids=[reason for _, reason in FAULTY])
def test_what_is_no_conversation_is_listed_with_its_row(tmp_path, row, reason):
    good = {
        "instruction": {"instruction": "Add.", "input": "", "output": "3"},
        "conversations": {"conversations": [HI, {"from": "gpt", "value": "Hello."}]},
        "prompt": {"prompt": "Hi", "chosen": "Hello.", "rejected": "Go."},
    }[next(iter(row))]
    data = read(tmp_path, [good, row], allow_rejected=True)
    assert [(item.where, item.reason) for item in data.rejected] == [("talks.json row 2", reason)]
    with pytest.raises(DataError, match="cannot be used"):
        read(tmp_path, [good, row])


def test_instructions_without_answers_are_an_error(tmp_path):
    with pytest.raises(DataError, match="no column output"):
        read(tmp_path, [{"instruction": "Add.", "input": "1 2"}])


def test_a_table_of_labels_is_no_conversation(tmp_path):
    with pytest.raises(DataError, match="find conversations"):
        read(tmp_path, [{"text": "so good", "label": "a"}, {"text": "so bad", "label": "b"}], task="causal-language-model")


def test_a_text_file_is_cut_into_passages(tmp_path):
    file = tmp_path / "play.txt"
    file.write_text("\n\n".join(f"Speaker {i}:\n" + "word " * 60 for i in range(12)), encoding="utf-8")
    data = load(file, valid_fraction=0, test_fraction=0)
    assert data.task == "causal-language-model"
    inputs = data.splits["train"].inputs
    assert len(inputs) == 4
    assert turns_of(inputs[0])[0][1].startswith("Speaker 0:")
    assert data.splits["train"].where(1) == "play.txt passage 2"


def test_a_folder_of_texts_may_name_its_splits(tmp_path):
    for name in ("train", "test"):
        (tmp_path / f"{name}.txt").write_text(f"It was the {name} of times.", encoding="utf-8")
    data = load(tmp_path, valid_fraction=0)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1, "test": 1}


def test_any_column_of_text_can_be_learned(tmp_path):
    rows = [{"id": str(i), "story": f"Once upon {i} times there was a king."} for i in range(3)]
    data = read(tmp_path, rows, task="causal-language-model", input="story")
    assert turns_of(data.splits["train"].inputs[0]) == [("text", "Once upon 0 times there was a king.")]
    only = load(records(tmp_path, [{"text": "One."}, {"text": "Two."}], "only.jsonl"), valid_fraction=0, test_fraction=0)
    assert only.task == "causal-language-model"


def test_passages_lose_no_word():
    text = "a long line " * 50 + "\n\n" + "x" * 250 + "\n\nshort"
    found = passages(text, longest=100)
    assert max(map(len, found)) <= 100
    assert "".join("".join(found).split()) == "".join(text.split())


def test_copies_stay_on_one_side(tmp_path):
    rows = echoes(60)
    data = load(records(tmp_path, [*rows, *rows]), allow_rejected=True)
    sides = {name: set(split.inputs) for name, split in data.splits.items()}
    assert not sides["train"] & sides["test"]
    assert sum(map(len, data.splits.values())) == 120


def test_two_answers_to_one_question_of_a_function_are_no_fault():
    assert fault([("user", "a"), ("call", "x"), ("call", "y"), ("tool", "1"), ("tool", "2"), ("assistant", "b")]) == ""


def test_real_files_are_recognised(shared_data):
    expected = {
        "alpaca_en": ("causal-language-model", 999),
        "glaive_toolcall_en": ("causal-language-model", 300),
        "dpo_en": ("preference", 299),
    }
    for name, (task, count) in expected.items():
        data = load(shared_data / "llm" / f"{name}_demo.json")
        assert (data.task, data.num_examples, len(data.rejected)) == (task, count, 0)
