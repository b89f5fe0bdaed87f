"""A mixture as token ids: every row is written or told of, and the files hold what the function gives."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from tests.conftest import write_jsonl
from tests.made_tokenizers import gpt2, llama2, save

ROWS = 300


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"instruction": f"question {at}", "input": "", "output": "word " * (at % 40) + "end"} for at in range(ROWS)]
    write_jsonl(tmp_path / "data" / "rows.jsonl", rows)
    talk = [{"role": "user", "content": "### Response:"}, {"role": "assistant", "content": "b"}]
    write_jsonl(tmp_path / "data" / "talks.jsonl", [{"messages": talk}])
    save(tmp_path / "tokenizer", llama2())
    return tmp_path / "data"


def build(data: Path, out: Path, tokenize: dict[str, Any] | None, **more: Any) -> cf.Result:
    sources = [{"name": "a", "files": "rows.jsonl"}, {"name": "b", "files": "talks.jsonl"}]
    if tokenize is not None:
        tokenize = {"tokenizer": str(data.parent / "tokenizer"), **tokenize}
    return cf.build({"name": "x", "sources": sources, "tokenize": tokenize, **more}, data=data, out=out)


def test_every_row_is_written_or_told_of(data: Path, tmp_path: Path) -> None:
    result = build(data, tmp_path / "out", {"max_length": 60}, format={"marks": "refuse"})
    table = result.table
    stage = next(one for one in result.summary["stages"] if one["stage"] == "tokenize")
    gone = ", ".join(f"{reason}: {rows}" for reason, rows in stage["removed"].items())
    assert f"{ROWS + 1 - len(table)} of {ROWS + 1} rows give no document ({gone})" in result.summary["warnings"]
    assert stage["rows_in"] == ROWS + 1
    assert stage["removed"].keys() == {"too_long", "template_mark"}
    assert stage["rows_out"] == len(table) == stage["notes"]["documents"] > 0
    lengths = [len(ids) for ids in table["input_ids"].to_pylist()]
    assert max(lengths) <= 60
    assert sum(lengths) == stage["notes"]["tokens"]
    same = cf.tokenize(table.select(["instruction", "input", "output"]), tmp_path / "tokenizer", template="birbal")
    assert same.table["input_ids"].to_pylist() == table["input_ids"].to_pylist()
    assert same.table["labels"].to_pylist() == table["labels"].to_pylist()
    ledger = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    gone = [row for row in ledger if row["stage"] == "tokenize"]
    assert len(gone) == ROWS + 1 - len(table)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "datasets"])
def test_parts_of_a_row_lie_side_by_side(data: Path, tmp_path: Path, form: str) -> None:
    table = build(data, tmp_path / "out", {"max_length": 40, "too_long": "split"}, write={"format": form}).table
    parts = table["part"].to_pylist()
    assert max(parts) > 0
    rows = table["row_id"].to_pylist()
    for at in range(1, len(parts)):
        assert parts[at] == (parts[at - 1] + 1 if rows[at] == rows[at - 1] else 0)
    assert all(
        len(ids) == len(labels) <= 40
        for ids, labels in zip(*(table[n].to_pylist() for n in ("input_ids", "labels")), strict=True)
    )


def test_a_second_build_encodes_nothing_again(data: Path, tmp_path: Path) -> None:
    first = build(data, tmp_path / "out", {})
    ids = first.table["input_ids"].to_pylist()
    assert build(data, tmp_path / "out", {}).summary["stages"][-1]["cached"]
    for kept in (tmp_path / "out" / ".chaffinch" / "decisions").glob("*.documents.arrow"):
        kept.unlink()
    again = build(data, tmp_path / "out", {})
    assert not again.summary["stages"][-1]["cached"]
    assert again.table["input_ids"].to_pylist() == ids


def test_another_tokenizer_decides_again(data: Path, tmp_path: Path) -> None:
    first = build(data, tmp_path / "out", {}).table["input_ids"].to_pylist()
    save(tmp_path / "tokenizer", gpt2())
    second = build(data, tmp_path / "out", {})
    assert not second.summary["stages"][-1]["cached"]
    assert second.table["input_ids"].to_pylist() != first


def test_a_tokenizers_own_template_writes_prompts_too(data: Path, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    made = gpt2()
    save(tmp_path / "tokenizer", made, chat_template=template)
    table = build(data, tmp_path / "out", {}, format={"template": "tokenizer"}).table
    for row in table.slice(0, 20).to_pylist():
        text = f"{row['prompt']}{row['response']}<|im_end|>\n"
        assert row["input_ids"] == made.encode(text).ids
    with pytest.raises(cf.RecipeError, match="hint: name the tokenizer"):
        build(data, tmp_path / "other", None, format={"template": "tokenizer"})
