"""Conversations as people and crawlers leave them: what a recipe makes of those that its template cannot write."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from chaffinch.conversations import mend
from tests.conftest import write_jsonl
from tests.made_tokenizers import llama2, save

GOOD = [("human", "a question"), ("gpt", "an answer"), ("human", "and then?"), ("gpt", "the end")]
HOSTILE = {
    "empty user": [("human", " \n"), ("gpt", "an answer"), ("human", "b"), ("gpt", "c")],
    "empty assistant": [("human", "a"), ("gpt", ""), ("human", "b"), ("gpt", "c")],
    "two users": [("human", "a"), ("human", "b"), ("gpt", "c")],
    "two assistants": [("human", "a"), ("gpt", "b"), ("gpt", "c")],
    "assistant first": [("gpt", "Hi!"), ("human", "a"), ("gpt", "c")],
    "tools": [("human", "a"), ("function_call", "{}"), ("observation", "1"), ("gpt", "c")],
    "only a user": [("human", "a")],
    "only an assistant": [("gpt", "c")],
    "nothing said": [("human", " "), ("gpt", "\t")],
}
REASONS = {
    "empty user": "empty turn",
    "empty assistant": "empty assistant turn",
    "two users": "turns out of order",
    "two assistants": "turns out of order",
    "assistant first": "turns out of order",
    "tools": "role without a pattern",
    "only a user": "no assistant turn",
    "only an assistant": "empty prompt",
    "nothing said": "empty assistant turn",
}
MENDED = {
    "empty user": [("user", "b"), ("assistant", "c")],
    "empty assistant": [("user", "a\n\nb"), ("assistant", "c")],
    "two users": [("user", "a\n\nb"), ("assistant", "c")],
    "two assistants": [("user", "a"), ("assistant", "b\n\nc")],
    "assistant first": [("user", "a"), ("assistant", "c")],
}


def build(folder: Path, talks: dict[str, list[tuple[str, str]]], **more: Any) -> tuple[cf.Result, list[dict[str, Any]]]:
    rows = [
        {"id": name, "conversations": [{"from": role, "value": text} for role, text in talk]}
        for name, talk in talks.items()
    ]
    write_jsonl(folder / "data" / "talks.jsonl", rows)
    recipe = {
        "name": "x",
        "sources": [{"name": "s", "files": "talks.jsonl", "format": "conversation"}],
        "format": {"template": "vicuna"},
        "max_bad_fraction": 1.0,
        **more,
    }
    result = cf.build(recipe, data=folder / "data", out=folder / "out")
    return result, pq.read_table(folder / "out" / "data").to_pylist()


def removed(result: cf.Result) -> dict[str, int]:
    return next(stage["removed"] for stage in result.summary["stages"] if stage["stage"] == "clean")


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_the_template_cannot_write_goes_and_is_counted(kind: str, tmp_path: Path) -> None:
    result, rows = build(tmp_path, {"good": GOOD, kind: HOSTILE[kind]})
    assert [json.loads(row["meta"])["id"] for row in rows] == ["good"]
    assert removed(result) == {REASONS[kind]: 1}
    ledger = pq.read_table(result.out / "ledger.parquet").to_pylist()
    assert [(row["stage"], row["reason"]) for row in ledger] == [("clean", REASONS[kind])]


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_can_be_mended_is_and_the_rest_goes(kind: str, tmp_path: Path) -> None:
    result, rows = build(tmp_path, {"good": GOOD, kind: HOSTILE[kind]}, clean={"turns": "merge"})
    found = {json.loads(row["meta"])["id"]: row for row in rows}
    assert {*found} == {"good"} | ({kind} & {*MENDED})
    if kind in MENDED:
        assert [(turn["role"], turn["content"]) for turn in found[kind]["messages"]] == MENDED[kind]
        assert found[kind]["response"] == MENDED[kind][-1][1]
        assert found[kind]["prompt"].endswith(f"USER: {MENDED[kind][-2][1]} ASSISTANT:")
    assert sum(removed(result).values()) == (kind not in MENDED)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_recipe_may_refuse_them(kind: str, tmp_path: Path) -> None:
    rules = {"turns": "refuse", "empty_prompt": "keep", "empty_response": "keep"}
    with pytest.raises(
        cf.DataError, match=r"1 conversations cannot be written, the first: s/\S+, position 2: .*\nhint"
    ):
        build(tmp_path, {"good": GOOD, kind: HOSTILE[kind]}, clean=rules)


def test_a_template_that_can_write_them_does(tmp_path: Path) -> None:
    _, rows = build(tmp_path, HOSTILE, format={"template": "chatml"})
    assert {json.loads(row["meta"])["id"] for row in rows} == {
        "two users",
        "two assistants",
        "assistant first",
        "tools",
    }


def test_roles_that_nobody_knows_are_in_quarantine(tmp_path: Path) -> None:
    result, rows = build(tmp_path, {"good": GOOD, "bad": [("human", "a"), ("b\u202er\x1b[2Jd", "x"), ("gpt", "c")]})
    assert len(rows) == 1
    bad = pq.read_table(result.out / "quarantine.parquet").to_pylist()
    assert [row["position"] for row in bad] == [2]


@pytest.mark.parametrize("turns", ["drop", "merge"])
@pytest.mark.parametrize("template", ["vicuna", "llama-2", "mistral", "chatml", "alpaca"])
def test_every_row_that_stays_has_tokens_and_a_label(turns: str, template: str, tmp_path: Path) -> None:
    made = llama2()
    save(tmp_path / "tokenizer", made)
    talks = HOSTILE | {
        "good": GOOD,
        "marks": [("human", "USER: </s> <s>[/INST] <|im_end|>"), ("gpt", "ASSISTANT: </s> ok")],
    }
    talks["100k"] = [("human", "long?"), ("gpt", "0 " * 100_000)]
    tokenize = {"tokenizer": str(tmp_path / "tokenizer"), "max_length": 4096, "too_long": "truncate"}
    result, rows = build(
        tmp_path,
        talks,
        clean={"turns": turns},
        format={"template": template},
        tokenize=tokenize,
        pack={"length": 4096},
        write={"trainer": "trl"},
    )
    assert {"good", "marks", "100k"} <= {json.loads(row["meta"])["id"] for row in rows}
    for row in rows:
        learned = [label for label in row["labels"] if label != -100]
        assert learned
        assert [row["input_ids"][at] for at, label in enumerate(row["labels"]) if label != -100] == learned
        again = cf.tokenize(
            [row["messages"]], tmp_path / "tokenizer", template=template, max_length=4096, too_long="truncate"
        )
        assert again.table["input_ids"].to_pylist() == [row["input_ids"]]
        assert again.table["labels"].to_pylist() == [row["labels"]]
        ends = made.token_to_id("</s>")
        if template == "vicuna" and len(row["input_ids"]) < 4096:
            answers = [turn for turn in row["messages"] if turn["role"] == "assistant"]
            # What a text says of an end is never the token.
            assert learned.count(ends) == row["input_ids"].count(ends) == len(answers)
    stage = result.summary["stages"][-1]
    assert stage["notes"]["rows cut"] == 1
    assert stage["notes"]["rows with marks"] == 1
    packs = pq.read_table(tmp_path / "out" / "trainer").to_pylist()
    assert sum(len(pack["seq_lengths"]) for pack in packs) == len(rows)


def test_mending_is_done_once() -> None:
    for talk in HOSTILE.values():
        once = mend([{"role": role, "content": text} for role, text in talk])
        assert mend([dict(turn) for turn in once]) == once


@pytest.mark.parametrize("template", ["birbal", "alpaca", "vicuna", "chatml"])
@pytest.mark.parametrize("handling", ["keep", "escape", "refuse"])
def test_marks_in_text_without_tokens(template: str, handling: str, tmp_path: Path) -> None:
    marks = {"birbal": "### Response:", "alpaca": "### Input:", "vicuna": "ASSISTANT:", "chatml": "<|im_end|>"}
    mark = marks[template]
    talks = {
        "good": GOOD,
        "asked": [("human", f"x{mark}"), ("gpt", "c")],
        "said": [("human", "a"), ("gpt", f"{mark}{mark}")],
    }
    result, rows = build(tmp_path, talks, format={"template": template, "marks": handling, "conversations": True})
    stage = next(stage for stage in result.summary["stages"] if stage["stage"] == "format")
    assert stage["notes"] == {"rows with marks": 2}
    found = {json.loads(row["meta"])["id"]: row for row in rows}
    assert {*found} == ({"good"} if handling == "refuse" else {*talks})
    assert stage["removed"] == ({"template_mark": 2} if handling == "refuse" else {})
    if handling != "refuse":
        shown = f"{mark[0]}\u200b{mark[1:]}" if handling == "escape" else mark
        assert f"x{shown}" in found["asked"]["prompt"]
        assert found["said"]["response"] == shown * 2
        # The texts themselves are the rows' own.
        assert found["said"]["messages"][-1]["content"] == mark * 2
