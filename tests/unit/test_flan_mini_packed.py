"""The recipe flan-mini from stand-ins to packs in one build: every row's tokens are those of the finished mixture."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from chaffinch.synth import synthesise
from tests.made_tokenizers import gpt2, save
from tests.unit.test_flan_mini import PUBLISHED

# A little more than 2,700 rows, in the published proportions; half of those with a pool have demonstrations.
PIECES = {f"sample.rows.{name}": rows // 500 for name, rows in PUBLISHED.items()}
LENGTH = 8192


def plain(text: str) -> str:
    return "".join(text.split())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[cf.Result, Path]:
    folder = tmp_path_factory.mktemp("flan")
    synthesise(folder / "data", 2_900, profile="flan-mini")
    save(folder / "tokenizer", gpt2())
    tokenize = {"tokenizer": str(folder / "tokenizer"), "max_length": LENGTH}
    settings = PIECES | {"tokenize": tokenize, "pack": {"length": LENGTH}, "write.trainer": "trl"}
    settings |= {"validation_fraction": 0.1}
    result = cf.build("flan-mini", data=folder / "data", out=folder / "out", set=settings, threads=2)
    return result, folder


def rows_of(folder: Path, split: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in sorted((folder / "out" / "data").glob(f"{split}-*")))


def test_tokens_and_labels_are_those_of_the_finished_mixture(built: tuple[cf.Result, Path]) -> None:
    result, folder = built
    fast, seen = gpt2(), 0
    end = fast.token_to_id("</s>")
    for split in ("train", "validation"):
        table = rows_of(folder, split)
        options: dict[str, Any] = {"template": "vicuna", "max_length": LENGTH}
        again, dropped = cf.tokenize(table.select(["messages"]), folder / "tokenizer", **options)
        assert len(dropped) == 0
        assert again["input_ids"].to_pylist() == table["input_ids"].to_pylist()
        assert again["labels"].to_pylist() == table["labels"].to_pylist()
        for row in table.select(["messages", "input_ids", "labels"]).to_pylist():
            answers = [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
            learned = [label for label in row["labels"] if label != -100]
            assert learned.count(end) == row["input_ids"].count(end) == len(answers)
            # What is learned are the answers and their ends, and nothing else.
            texts = fast.decode(learned, skip_special_tokens=False).split("</s>")
            assert texts.pop() == ""
            assert [plain(text) for text in texts] == [plain(answer) for answer in answers]
        seen += len(table)
    assert (
        seen == result.summary["kept"] == sum(PIECES.values()) - sum(result.summary["stages"][-1]["removed"].values())
    )


def test_packs_hold_every_document_once(built: tuple[cf.Result, Path]) -> None:
    _, folder = built
    for split in ("train", "validation"):
        table = rows_of(folder, split)
        wanted = Counter(
            (tuple(ids), (-100, *labels[1:]))
            for ids, labels in zip(table["input_ids"].to_pylist(), table["labels"].to_pylist(), strict=True)
        )
        found: Counter[Any] = Counter()
        packs = [pq.read_table(file) for file in sorted((folder / "out" / "trainer").glob(f"{split}-*"))]
        for pack in pa.concat_tables(packs).to_pylist():
            start = 0
            for length in pack["seq_lengths"]:
                here = slice(start, start + length)
                found[tuple(pack["input_ids"][here]), tuple(pack["labels"][here])] += 1
                start += length
        assert found == wanted


def test_what_was_asked_how_is_told_of_the_rows_that_are_written(built: tuple[cf.Result, Path]) -> None:
    result, folder = built
    train, held_out = (rows_of(folder, split).to_pylist() for split in ("train", "validation"))
    rows = [row for row in [*train, *held_out] if row["template"]]
    assert result.summary["asked"]["templates"] == Counter(row["template"] for row in rows)
    assert result.summary["asked"]["demonstrations"] == Counter(str(len(row["demonstrations"])) for row in rows)
    shown = {other for row in rows for other in row["demonstrations"]}
    assert len(shown) > 300
    assert not shown & {row["row_id"] for row in held_out}


def test_a_second_build_and_other_threads_change_no_byte(built: tuple[cf.Result, Path]) -> None:
    first, folder = built
    settings = first.summary["recipe"]
    again = cf.build(settings, data=folder / "data", out=folder / "again", threads=1)
    assert [one["hash"] for one in again.summary["outputs"]] == [one["hash"] for one in first.summary["outputs"]]
    hashes = [[one["hash"] for one in each.summary["trainer_outputs"]] for each in (first, again)]
    assert hashes[0] == hashes[1]
    cached = cf.build(settings, data=folder / "data", out=folder / "again")
    assert {stage["stage"]: stage["cached"] for stage in cached.summary["stages"]}["tokenize"]


def test_other_templates_are_other_tokens(built: tuple[cf.Result, Path], tmp_path: Path) -> None:
    _, folder = built
    (tmp_path / "pool.yaml").write_text('name: p\ntemplates: [{id: a, prompt: "{instruction}"}]\n')
    recipe = {
        "name": "x",
        "sources": [{"name": "cot", "files": "flan-cot/*.tsv*", "columns": ["question", "answer", "rationale"]}],
        "format": {"template": "vicuna", "pools": [{"file": str(tmp_path / "pool.yaml"), "sources": "cot"}]},
        "tokenize": {"tokenizer": str(folder / "tokenizer"), "max_length": LENGTH},
    }
    recipe["sources"][0]["fields"] = {"instruction": "question", "output": "answer"}
    first = cf.build(recipe, data=folder / "data", out=tmp_path / "out").table
    (tmp_path / "pool.yaml").write_text('name: p\ntemplates: [{id: a, prompt: "Now: {instruction}"}]\n')
    second = cf.build(recipe, data=folder / "data", out=tmp_path / "out")
    assert not second.summary["stages"][-1]["cached"]
    assert first["input_ids"].to_pylist() != second.table["input_ids"].to_pylist()


@pytest.mark.parametrize("trainer", ["alpaca", "sharegpt", "openai"])
def test_trainers_that_take_text_get_the_words_of_the_mixture(
    trainer: str, built: tuple[cf.Result, Path], tmp_path: Path
) -> None:
    _, folder = built
    settings = PIECES | {"write.trainer": trainer, "sample.rows.sharegpt": 0}
    result = cf.build("flan-mini", data=folder / "data", out=tmp_path / "out", set=settings)
    files = sorted((tmp_path / "out" / "trainer").glob("train*"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    table = pq.read_table(sorted((tmp_path / "out" / "data").glob("train-*")))
    assert len(lines) == len(table)
    for line, row in zip(lines, table.to_pylist(), strict=True):
        values, (asked, answered) = json.loads(line), (turn["content"] for turn in row["messages"])
        if trainer == "alpaca":
            assert (values["instruction"], values["output"]) == (asked, answered)
        elif trainer == "sharegpt":
            assert [turn["value"] for turn in values["conversations"]] == [asked, answered]
        else:
            assert [turn["content"] for turn in values["messages"]] == [asked, answered]
    assert result.summary["asked"]["templates"]


def test_a_tokenizers_own_template_writes_conversations(built: tuple[cf.Result, Path], tmp_path: Path) -> None:
    _, folder = built
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    save(tmp_path / "tokenizer", gpt2(), chat_template=template)
    tokenize = {"tokenizer": str(tmp_path / "tokenizer"), "max_length": LENGTH}
    settings = PIECES | {"tokenize": tokenize, "format.template": "tokenizer"}
    table = cf.build("flan-mini", data=folder / "data", out=tmp_path / "out", set=settings).table
    again, _ = cf.tokenize(table.select(["messages"]), tmp_path / "tokenizer", max_length=LENGTH)
    assert again["input_ids"].to_pylist() == table["input_ids"].to_pylist()
    assert again["labels"].to_pylist() == table["labels"].to_pylist()
