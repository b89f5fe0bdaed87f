"""The mixture as JSON lines for trainers that tokenise by themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from tests.conftest import write_jsonl

TURNS = [
    ("system", "Be brief."),
    ("user", "One?"),
    ("assistant", "1"),
    ("user", "Two?\u2028\x00"),
    ("assistant", "2"),
]

TOKENS = {"tokenize": {"tokenizer": "tokenizer.json", "max_length": 32}}


def conversation(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def build(folder: Path, trainer: str, chats: list[dict[str, Any]], **more: Any) -> dict[str, list[dict[str, Any]]]:
    write_jsonl(
        folder / "data/rows.jsonl",
        [{"instruction": f"Add {n}", "input": "x" * (n % 2), "output": f"{n}"} for n in range(8)],
    )
    write_jsonl(folder / "data/chats.jsonl", chats)
    sources = [
        {"name": "rows", "files": "rows.jsonl"},
        {"name": "chats", "files": "chats.jsonl", "format": "conversation"},
    ]
    recipe = {"name": "x", "sources": sources, "write": {"trainer": trainer}, **more}
    result = cf.build(recipe, data=folder / "data", out=folder / "out")
    outputs = result.summary["trainer_outputs"]
    files = {one["split"]: folder / "out" / one["file"] for one in outputs}
    read = {
        split: [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
        for split, file in files.items()
    }
    assert {split: len(rows) for split, rows in read.items()} == {one["split"]: one["rows"] for one in outputs}
    # In the order of the mixture.
    assert [json.dumps(row).count("Add") for row in read["train"]] == [
        int(text is not None and text.startswith("Add")) for text in result.table["instruction"].to_pylist()
    ]
    return read


def test_alpaca(tmp_path: Path) -> None:
    rows = build(tmp_path, "alpaca", [conversation(*TURNS), conversation(*TURNS[1:3])])["train"]
    assert {"instruction": "Add 1", "input": "x", "output": "1"} in rows
    assert {"instruction": "One?", "input": "", "output": "1"} in rows
    long = {"instruction": TURNS[3][1], "input": "", "output": "2", "system": "Be brief.", "history": [["One?", "1"]]}
    assert long in rows
    assert len(rows) == 10


def test_sharegpt(tmp_path: Path) -> None:
    tools = [("user", "Time?"), ("tool_call", "now()"), ("tool", "9:00"), ("assistant", "Nine.")]
    rows = build(tmp_path, "sharegpt", [conversation(*TURNS), conversation(*tools)])["train"]
    assert {"conversations": [{"from": "human", "value": "Add 1\nx"}, {"from": "gpt", "value": "1"}]} in rows
    said = [turn["from"] for row in rows for turn in row["conversations"] if len(row["conversations"]) == 4]
    assert sorted(said) == sorted(["human", "gpt", "human", "gpt", "human", "function_call", "observation", "gpt"])
    assert [row["system"] for row in rows if "system" in row] == ["Be brief."]


def test_openai(tmp_path: Path) -> None:
    rows = build(tmp_path, "openai", [conversation(*TURNS)], validation_fraction=0.3)
    assert {split: len(found) for split, found in rows.items()} == {"train": 6, "validation": 3}
    every = rows["train"] + rows["validation"]
    assert conversation(*TURNS) in every
    assert conversation(("user", "Add 2"), ("assistant", "2")) in every


@pytest.mark.parametrize(
    "turns",
    [
        [("user", "Time?"), ("tool_call", "now()"), ("tool", "9:00"), ("assistant", "Nine.")],
        [("user", "One?"), ("user", "Two?"), ("assistant", "3")],
    ],
)
def test_what_alpaca_cannot_say_is_refused(turns: list[tuple[str, str]], tmp_path: Path) -> None:
    with pytest.raises(cf.DataError, match=r"chats/chats/[0-9a-f]{16}: .*which alpaca rows cannot say\nhint: "):
        build(tmp_path, "alpaca", [conversation(*turns)])
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"write": {"trainer": "trl"}}, "write.trainer: trl takes tokens\nhint: "),
        ({"write": {"trainer": "trl"}, **TOKENS}, "write.trainer: trl takes packs\nhint: "),
        ({"pack": {"length": 64}}, "pack: nothing takes the packs\nhint: "),
        ({"pack": {"length": 64}, "write": {"trainer": "axolotl"}, **TOKENS}, "axolotl packs itself"),
        ({"pack": {"length": 64}, "write": {"trainer": "openai"}}, "openai tokenises itself"),
        ({"pack": {"length": 63}, "write": {"trainer": "llama-factory"}, **TOKENS}, "multiple of 8"),
        ({"pack": {"length": 1}, "write": {"trainer": "trl"}}, r"pack\.length"),
        ({"write": {"trainer": "nobody"}}, r"write\.trainer"),
    ],
)
def test_recipes_that_no_trainer_can_use_are_refused(keys: dict[str, Any], said: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [{"instruction": "a", "output": "b"}])
    with pytest.raises(cf.RecipeError, match=said):
        cf.build(
            {"name": "x", "sources": [{"name": "a", "files": "rows.jsonl"}], **keys},
            data=tmp_path,
            out=tmp_path / "out",
        )
