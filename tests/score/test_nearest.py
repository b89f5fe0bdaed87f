"""The answerer that needs no model, against BM25 in plain Python."""

import json
import random
import re
from pathlib import Path

import pytest
from rank_bm25 import BM25Okapi

from chaffinch.score import nearest
from tests.score.corpus import decided, read, recipe, write_task

WORDS = "river stone light seven count letter answer the a of field late early".split(" ")


def corpus(data: Path, seed: int) -> None:
    chance = random.Random(seed)
    for name in ("t1", "t2", "t3"):
        rows = [(" ".join(chance.choices(WORDS, k=chance.randint(1, 8))), [f"{name} {at}"]) for at in range(40)]
        rows.append((rows[0][0], ["another answer to the same"]))
        examples = [(" ".join(chance.choices(WORDS, k=4)), f"{name} example {at}") for at in range(3)]
        write_task(data, name, rows, [*examples, (rows[5][0], f"{name} of five")])


def by_row(data: Path, place: Path, **prompt: object) -> dict[tuple[str, str, str], str | None]:
    run, rows = read(data, place, recipe(prompt=prompt))
    table = run.rows.table
    names = list(
        zip(
            table["task"].to_pylist(),
            table["input"].to_pylist(),
            [one[0] for one in table["references"].to_pylist()],
            strict=True,
        )
    )
    found: dict[tuple[str, str, str], str | None] = {}
    for some, texts in nearest.answers(run.rows, rows, run.recipe.score.prompt, 11):
        found |= {names[row]: text for row, text in zip(some.tolist(), texts, strict=True)}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("take", ["examples", "rows"])
def test_the_answer_is_that_of_the_most_similar_case(tmp_path: Path, take: str) -> None:
    corpus(tmp_path / "data", 1)
    found = by_row(tmp_path / "data", tmp_path, take=take)
    words = re.compile(r"\w+")
    for task in ("t1", "t2", "t3"):
        examples = json.loads((tmp_path / "data" / "tasks" / f"{task}.json").read_text())["Positive Examples"]
        cases: dict[str, set[str]] = {}
        for of, input_, reference in found:
            if of == task:
                cases.setdefault(input_, set()).add(reference)
        if take == "examples":
            cases |= {one["input"]: {one["output"]} for one in examples}
        inputs = list(cases)
        index = BM25Okapi([words.findall(text) for text in inputs])
        for (of, input_, _), answer in found.items():
            if of != task:
                continue
            scores = dict(zip(inputs, index.get_scores(words.findall(input_)), strict=True))
            del scores[input_]
            best = max(scores.values())
            assert any(answer in cases[text] and score >= best - 1e-9 for text, score in scores.items())


def test_answers_do_not_depend_on_the_order_of_rows_or_files(tmp_path: Path) -> None:
    corpus(tmp_path / "a", 2)
    found = by_row(tmp_path / "a", tmp_path / "1")
    for path in (tmp_path / "a" / "tasks").iterdir():
        values = json.loads(path.read_text())
        random.Random(3).shuffle(values["Instances"])
        values["Positive Examples"].reverse()
        path.write_text(json.dumps(values))
    assert by_row(tmp_path / "a", tmp_path / "2") == found


def test_who_is_alone_has_no_answer(tmp_path: Path) -> None:
    write_task(tmp_path / "data", "alone", [("a b", ["c"])])
    write_task(tmp_path / "data", "twins", [("a b", ["c"]), ("a b", ["d"])])
    write_task(tmp_path / "data", "shown", [("a b", ["c"])], [("a x", "y")])
    run = decided(tmp_path / "data", tmp_path, recipe())
    answers = dict(zip(run.rows.table["task"].to_pylist(), run.rows.table["answer"].to_pylist(), strict=True))
    assert answers == {"alone": None, "twins": None, "shown": "y"}
    notes = run.steps[-1].decisions.notes
    assert json.loads(str(notes["missing"])) == {"no other case of the task": 3}
    assert run.steps[-1].decisions.lasting
