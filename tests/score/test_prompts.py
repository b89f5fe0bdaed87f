"""The bytes of prompts, and who is shown to whom."""

import json
from pathlib import Path
from typing import Any

import pytest

from chaffinch.recipe.score import Prompt
from chaffinch.score.prompts import Case, Prompts, alpaca, task_examples
from tests.score.corpus import read, recipe, write_task

GOLDEN = (
    b"Below is an instruction that describes a task, paired with an input that provides further context. "
    b"Write a response that appropriately completes the request.\n"
    b"\n"
    b"### Instruction:\n"
    b"Name the capital.\n"
    b"\n"
    b"### Input:\n"
    b"France\n"
    b"\n"
    b"### Response:\n"
    b"Paris\n"
    b"\n"
    b"### Input:\n"
    b"C\xc3\xb4te d'Ivoire\n"
    b"\n"
    b"### Response:\n"
    b"Yamoussoukro\n"
    b"\n"
    b"### Input:\n"
    b"Chile {x}\n"
    b"\n"
    b"### Response:\n"
)


def test_the_bytes_of_a_prompt() -> None:
    cases = [Case("France", "Paris"), Case("Côte d'Ivoire", "Yamoussoukro")]
    assert alpaca("Name the capital.", cases, "Chile {x}", Prompt()).encode() == GOLDEN


def test_no_case_with_the_rows_own_input_or_twice() -> None:
    cases = [Case("a", "1"), Case("b", "2"), Case("b", "3"), Case("c", "4"), Case("d", "5")]
    prompt = alpaca("i", cases, "a", Prompt(demonstrations=2))
    assert prompt.count("### Response:\n") == 3
    assert [f"### Response:\n{answer}\n" in prompt for answer in "12345"] == [False, True, False, True, False]
    assert "### Response:\n1" not in alpaca("i", cases, "a", Prompt(demonstrations=9))


def test_what_does_not_fit_is_left_out() -> None:
    cases = [Case("x" * 500, "1"), Case("b", "2"), Case("c", "3")]
    bare = alpaca("i", [], "a", Prompt())
    one = alpaca("i", cases[1:2], "a", Prompt())
    assert alpaca("i", cases, "a", Prompt(max_characters=len(one))) == one
    assert alpaca("i", cases, "a", Prompt(max_characters=len(one) - 1)) == bare
    assert alpaca("i", cases, "a" * 999, Prompt(max_characters=10)).endswith("a\n\n### Response:\n")


SCHEMAS: dict[str, dict[str, Any]] = {
    "released": {
        "Positive Examples": [
            {"input": "e1", "output": "o1", "explanation": "x"},
            {"input": "e2", "output": ["o2", "p"]},
        ]
    },
    "2021": {
        "Definition": "Do.",
        "Categories": "Fill",
        "Positive Examples": [{"output": "o1", "input": "e1"}, {"input": "e2", "output": "o2", "reason": None}],
    },
    "first": {
        "Title": "t",
        "Examples": {
            "Negative Examples": [{"input": "n", "output": "n"}],
            "Positive Examples": [{"input": "e1", "output": "o1"}, {"input": "e2", "output": "o2", "reason": "r"}],
        },
        "Positive Examples": "-",
    },
}  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("first", [True, False])
def test_every_schema_gives_its_examples(tmp_path: Path, schema: str, first: bool) -> None:
    path = write_task(tmp_path / "data", "t", [("a", ["b"])])
    values = {"Definition": ["Do."], "Instances": [{"input": "a", "output": "b"}]}
    more = SCHEMAS[schema]
    if schema == "first":
        more = {name: more[name] for name in ("Title", "Examples")}
    path.write_text(json.dumps({**more, **values} if first else {**values, **more}))
    run, _ = read(tmp_path / "data", tmp_path, recipe())
    assert {*task_examples(run.rows, 1)["ni", "t"]} == {Case("e1", "o1"), Case("e2", "o2")}


@pytest.mark.parametrize("nothing", ["-", [], None, {"a": 1}, ["-"], [{"input": "a"}]])
def test_what_is_no_example_is_none(tmp_path: Path, nothing: Any) -> None:
    path = write_task(tmp_path / "data", "t", [("a", ["b"])])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Positive Examples": nothing}))
    run, _ = read(tmp_path / "data", tmp_path, recipe())
    assert len(run.rows) == 1
    assert task_examples(run.rows, 1) == {}


def test_a_shard_whose_examples_are_gone_is_read_again(tmp_path: Path) -> None:
    write_task(tmp_path / "data", "t", [("a", ["b"])], [("e", "o")])
    run, _ = read(tmp_path / "data", tmp_path, recipe())
    examples = run.rows.shards[0].examples
    assert examples is not None
    examples.unlink()
    run, _ = read(tmp_path / "data", tmp_path, recipe())
    assert not run.rows.shards[0].cached
    assert task_examples(run.rows, 1) == {("ni", "t"): [Case("e", "o")]}


def corpus(data: Path, files: list[str]) -> None:
    many = [(f"question {at}", [f"answer {at}"]) for at in range(30)]
    for name in files:
        write_task(data, name, many, [("e1", "o1"), ("question 3", "answer 3")] if name == "t1" else [])


def prompts(data: Path, place: Path, **prompt: Any) -> dict[tuple[str, str], str]:
    run, rows = read(data, place, recipe(prompt=prompt))
    made = list(Prompts(run.rows, rows, run.recipe.score.prompt, run.recipe.seed).of(rows))
    table = run.rows.table
    return dict(zip(zip(table["task"].to_pylist(), table["input"].to_pylist(), strict=True), made, strict=True))


def test_examples_come_first_and_rows_fill_up(tmp_path: Path) -> None:
    corpus(tmp_path / "data", ["t1", "t2"])
    made = prompts(tmp_path / "data", tmp_path)
    for (task, input_), prompt in made.items():
        assert prompt.count("### Input:\n") == 5
        assert prompt.count(f"### Input:\n{input_}\n\n") == 1
        assert prompt.endswith(f"### Input:\n{input_}\n\n### Response:\n")
        assert ("### Input:\ne1\n\n### Response:\no1\n" in prompt) == (task == "t1")
        assert f"Do what {task} says." in prompt
    # Rows of a task share their demonstrations, but for a row that is one of them.
    heads = {prompt.rsplit("### Input:", 1)[0] for (task, _), prompt in made.items() if task == "t2"}
    assert 2 <= len(heads) <= 5
    alone = prompts(tmp_path / "data", tmp_path, take="rows")
    assert not any("e1" in prompt for prompt in alone.values())
    assert all(prompt.count("### Input:\n") == 5 for prompt in alone.values())


def test_prompts_depend_on_content_and_seed_alone(tmp_path: Path) -> None:
    corpus(tmp_path / "a", ["t1", "t2"])
    corpus(tmp_path / "b", ["t2", "t0", "t1"])
    values = json.loads((tmp_path / "b" / "tasks" / "t1.json").read_text())
    values["Instances"].reverse()
    values["Positive Examples"].reverse()
    (tmp_path / "b" / "tasks" / "t1.json").write_text(json.dumps(values))
    ours, theirs = prompts(tmp_path / "a", tmp_path / "1"), prompts(tmp_path / "b", tmp_path / "2")
    assert {key: theirs[key] for key in ours} == ours
    run, rows = read(tmp_path / "a", tmp_path / "1", recipe())
    other = list(Prompts(run.rows, rows, run.recipe.score.prompt, 12).of(rows))
    assert {*other} != {*ours.values()}


def test_a_task_of_one_row_has_no_demonstration(tmp_path: Path) -> None:
    write_task(tmp_path, "lonely", [("a", ["b"])])
    assert prompts(tmp_path, tmp_path)["lonely", "a"].count("### Input:") == 1
