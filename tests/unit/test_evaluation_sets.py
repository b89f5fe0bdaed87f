import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation import further, instructeval
from chaffinch.evaluation.task import unchanged
from chaffinch.evaluation_sets import find, items, known, lookup, state
from chaffinch.recipe.decontaminate import Against
from tests.conftest import write_jsonl


def read(data: Path, name: str, **fields: Any) -> list[dict[str, Any]]:
    return [row for one in find(Against(name=name, **fields), data) for row in items(one).to_pylist()]


def test_the_registry_is_consistent() -> None:
    wanted = "mmlu bbh drop crass humaneval gsm8k truthfulqa bbq math ethics corr2cause samsum hhh impact big-bench"
    assert set(wanted.split()) <= set(known())
    for entry in known().values():
        assert len({split.name for split in entry.splits}) == len(entry.splits)
        assert not any(split.default and split.name == "train" and len(entry.splits) > 1 for split in entry.splits)
        assert all(split.files for split in entry.splits)
        for name in (entry.name, entry.title, entry.name.upper(), *entry.aliases):
            splits = lookup(f"{name}/{entry.splits[0].name}")
            assert splits is not None
            assert splits[0][0] is entry, name


def test_a_name_alone_means_test_and_validation(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "gsm8k" / "test.jsonl", [{"question": "a", "answer": "1"}])
    write_jsonl(tmp_path / "gsm8k" / "train.jsonl", [{"question": "b", "answer": "2"}])
    assert [row["question"] for row in read(tmp_path, "GSM8K")] == ["a"]
    assert read(tmp_path, "gsm8k/train") == [{"id": "0", "question": "b", "choices": [], "answer": "2"}]
    with pytest.raises(RecipeError, match=r"no split 'dev'\nhint: there is gsm8k/test, gsm8k/train"):
        read(tmp_path, "gsm8k/dev")
    with pytest.raises(RecipeError, match="only splits that have to be named"):
        read(tmp_path, "corr2cause-pp")


def test_files_whose_makers_wrote_no_header(tmp_path: Path) -> None:
    for name, text in (
        ("mmlu/test/a_test.csv", '"Q, one",w,w,x,z,D\nQ two,1,2,3,4,A\n'),
        ("ethics/utilitarianism/util_test.csv", "I slept.,I slept badly.\n"),
        ("ethics/justice/justice_test.csv", "label,scenario\n1,I pay.\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert read(tmp_path, "mmlu") == [
        {"id": "0", "question": "Q, one", "choices": ["w", "w", "x", "z"], "answer": ""},
        {"id": "1", "question": "Q two", "choices": ["1", "2", "3", "4"], "answer": ""},
    ]
    found = {row["id"]: row["question"] for row in read(tmp_path, "ethics")}
    assert found == {"util_test:0": "I slept. I slept badly.", "justice_test:0": "I pay."}
    # The items that `evaluate` asks have the same ids.
    for name, maker in (("mmlu", instructeval.mmlu), ("ethics", further.ethics)):
        assert {question.id for question in maker(tmp_path, 0, unchanged).questions} == {
            row["id"] for row in read(tmp_path, f"{name}/test")
        }
    (tmp_path / "mmlu/test/a_test.csv").write_text("Q,w,x,y,z,A\nQ two,1,2\n")
    with pytest.raises(DataError, match=r"row 1 has 3 cells, the first 6\nhint: "):
        read(tmp_path, "mmlu")


def test_parts_of_every_shape(tmp_path: Path) -> None:
    folder = tmp_path / "eval-mmlu" / "test"
    folder.mkdir(parents=True)
    (folder / "a_test.csv").write_text('question,choice0,choice1,choice2,choice3,answer\n"Q, one",w,x,,z,3\n')
    (folder / "b_test.csv").write_text("question,choice0,choice1,choice2,choice3,answer\nQ two,1,2,3,4,0\n")
    assert read(tmp_path, "mmlu") == [
        {"id": "a_test:0", "question": "Q, one", "choices": ["w", "x", "", "z"], "answer": ""},
        {"id": "b_test:0", "question": "Q two", "choices": ["1", "2", "3", "4"], "answer": ""},
    ]
    (tmp_path / "bbh").mkdir()
    examples = [{"input": "in", "target": "(A)"}, {"input": "out", "target": "(B)"}]
    (tmp_path / "bbh" / "x.json").write_text(json.dumps({"canary": "c", "examples": examples}, indent=1))
    assert [row["question"] for row in read(tmp_path, "bbh")] == ["in", "out"]
    task = {
        "examples": [{"input": "q", "target_scores": {"yes": 1, "no": 0}}, {"input": "r", "target_scores": {"up": 1}}]
    }
    (tmp_path / "big-bench" / "t").mkdir(parents=True)
    (tmp_path / "big-bench" / "t" / "task.json").write_text(json.dumps(task))
    assert [row["choices"] for row in read(tmp_path, "BIG-bench")] == [["yes", "no"], ["up"]]
    chosen = "\n\nHuman: hi\n\nAssistant: ho\n\nHuman: hum\n\nAssistant: ha"
    write_jsonl(tmp_path / "eval-hh-rlhf" / "x_test.jsonl", [{"chosen": chosen, "rejected": ""}])
    assert read(tmp_path, "hh-rlhf")[0]["question"] == "\n\nHuman: hi\n\nAssistant: ho\n\nHuman: hum"
    write_jsonl(
        tmp_path / "arc" / "test.jsonl", [{"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}}]
    )
    assert read(tmp_path, "arc")[0]["choices"] == ["a", "b"]


def test_any_file_with_guessed_or_named_fields(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "own.jsonl", [{"Body": "There are two.", "Question": "How many?", "Answer": 2, "id": "x"}])
    assert read(tmp_path, "own.jsonl") == [
        {"id": "x", "question": "There are two. How many?", "choices": [], "answer": "2"}
    ]
    write_jsonl(tmp_path / "odd[1].jsonl", [{"stem": "s", "more": ["a", {"b": 1}], "id": 7}])
    found = read(tmp_path, "odd[1].jsonl", question=["stem"], choices=["more"])
    assert found == [{"id": "0", "question": "s", "choices": ["a", "b"], "answer": ""}]
    with pytest.raises(DataError, match=r"no field for the question among stem, more, id\nhint: name"):
        read(tmp_path, "odd[1].jsonl")


def test_what_is_not_there_is_told_with_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no evaluation set and no file is named 'gsm9k'\nhint: did you mean gsm8k"):
        read(tmp_path, "gsm9k")
    with pytest.raises(RecipeError, match=r"math/test has no single place on the hub\nhint: put its files"):
        read(tmp_path, "hub:math")


@pytest.mark.parametrize("name", [".", "./", "**x", "hub:mine.jsonl", "*.jsonl/**x"])
def test_a_name_that_means_nothing_is_refused_with_a_hint(tmp_path: Path, name: str) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [{"question": "a"}])
    with pytest.raises((DataError, RecipeError), match="\nhint: "):
        find(Against(name=name), tmp_path)


def test_hidden_files_are_items_only_by_name(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "out" / ".chaffinch" / "a.jsonl", [{"question": "work of a build"}])
    write_jsonl(tmp_path / "mine.jsonl", [{"question": "a"}])
    assert [row["question"] for row in read(tmp_path, "**/*.jsonl")] == ["a"]
    assert [row["question"] for row in read(tmp_path, "out/.chaffinch/*.jsonl")] == ["work of a build"]


def test_values_that_json_alone_can_hold_are_items_or_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lone = "\ufffd" * 3
    path.write_text('{"question": ["q \\ud800 r"], "choices": [1, "\\udc00"]}\n')
    assert read(tmp_path, "a.jsonl") == [{"id": "0", "question": f"q {lone} r", "choices": ["1", lone], "answer": ""}]
    path.write_text(f'{{"question": "x"}}\n{{"question": {"[" * 900}1{"]" * 900}}}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: row 1 is nested too deep\nhint: "):
        read(tmp_path, "a.jsonl")


@pytest.mark.parametrize("rows", ["null", "7", '["a"]', '[{"input": {"a": 1}}, {"input": [1]}]'])
def test_a_key_without_rows_is_named(tmp_path: Path, rows: str) -> None:
    (tmp_path / "bbh").mkdir()
    (tmp_path / "bbh" / "navigate.json").write_text(f'{{"examples": {rows}}}')
    with pytest.raises(DataError, match=r"navigate\.json: 'examples' holds no rows: .*\nhint: "):
        read(tmp_path, "bbh")


def test_rows_under_a_key_keep_the_fields_that_only_later_ones_have(tmp_path: Path) -> None:
    (tmp_path / "bbh").mkdir()
    (tmp_path / "bbh" / "navigate.json").write_text(
        '{"examples": [{"input": "a"}, {"target": "b", "input": "c"}, {"input": "d", "target": null}]}'
    )
    answers = [(row["question"], row["answer"]) for row in read(tmp_path, "bbh")]
    assert answers == [("a", ""), ("c", "b"), ("d", "")]


def test_no_name_of_the_hub_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "side" / "a.jsonl", [{"question": "from this machine"}])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match="names no data set"):
        read(tmp_path, "hf:../side")


def test_the_state_tells_data_and_registry_apart(tmp_path: Path) -> None:
    (tmp_path / "bbh").mkdir()
    (tmp_path / "bbh" / "navigate.json").write_text('{"examples": [{"input": "a", "target": "b"}]}')
    (one,) = find(Against(name="bbh"), tmp_path)
    before = json.dumps(state(one))
    assert json.dumps(state(one)) == before
    assert one.entry is not None
    for change in ({"rows": "other"}, {"until": "Q:"}):
        assert json.dumps(state(replace(one, entry=one.entry.model_copy(update=change)))) != before
    (tmp_path / "bbh" / "navigate.json").write_text('{"examples": [{"input": "a", "target": "c"}]}')
    assert json.dumps(state(one)) != before


HUB = """
import json
from pathlib import Path
from chaffinch.evaluation import further, instructeval
from chaffinch.evaluation.task import unchanged
from chaffinch.evaluation_sets import find, items, state
from chaffinch.recipe.decontaminate import Against
for one in find(Against(name="hf:org/set:test"), Path()):
    print(json.dumps([state(one), items(one)["question"].to_pylist()]))
"""


def test_new_data_under_a_name_of_the_hub_is_another_state(tmp_path: Path) -> None:
    # A data set of the hub is looked for in the working folder first, which stands in for the hub here.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    told = []
    for text in ("old", "new"):
        write_jsonl(tmp_path / "org" / "set" / "test.jsonl", [{"question": text}])
        command = [sys.executable, "-c", HUB]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        told.append(json.loads(run.stdout))
    assert [questions for _, questions in told] == [["old"], ["new"]]
    assert told[0][0] != told[1][0]
