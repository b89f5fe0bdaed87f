import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from chaffinch.recipe.dedup import Dedup
from chaffinch.stages import dedup
from tests.rows import everyone, row, store, turns


def found(texts, **options):
    table = dedup.exact_duplicates(texts, **options)
    return list(zip(table["row"].to_pylist(), table["witness"].to_pylist(), strict=True))


def removed(rows, **rule):
    table = store(rows)
    decisions = dedup.run(table, everyone(table), Dedup(exact=rule))
    decisions.check(everyone(table))
    return list(zip(decisions.row.tolist(), decisions.witness.tolist(), strict=True))


def test_the_first_of_equal_rows_stays():
    assert found(["a", "b", "a", "A", "a "]) == [(2, 0)]
    assert found(["a", "b", "a", "A", "a "], normal_form="whitespace") == [(2, 0), (4, 0)]
    assert found(["a", "b", "a", "A", "a "], normal_form="case") == [(2, 0), (3, 0), (4, 0)]


def test_all_columns_must_agree():
    assert found({"prompt": ["a", "a", "a"], "response": ["x", "y", "x"]}) == [(2, 0)]
    assert found([["ab", "a"], ["c", "bc"]]) == []


def test_priority_then_content_then_row_decides():
    assert found(["a", "a", "a"], priority=[1, 0, 0]) == [(0, 1), (2, 1)]
    content = pa.array([b"b" * 16, b"a" * 16], pa.binary(16))
    assert found(["a", "a"], content=content) == [(0, 1)]


def test_empty_texts_are_no_duplicates():
    assert found(["", None, "", " "], normal_form="whitespace") == []
    assert found({"a": ["", ""], "b": ["x", "x"]}) == [(1, 0)]


@pytest.mark.parametrize(
    "columns", [pa.table([["x", "y"], ["a", "a"]], names=["c", "c"]), {1: ["x", "y"], "1": ["a", "a"]}]
)
def test_two_columns_of_one_name_are_refused(columns):
    with pytest.raises(ValueError, match=r"one name|two columns are named 'c'\nhint: "):
        found(columns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normal_form": "nfc"}, "normal_form is nfc"),
        ({"priority": [1]}, "priority has 1"),
        ({"priority": pa.array(["a", "b"])}, "hint: give numbers"),
        ({"priority": [[0, 1], [2]]}, "priority has 1"),
        ({"content": pa.array(["x", "y"])}, "fixed_size_binary"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        dedup.exact_duplicates(["a", "b"], **options)


def test_the_source_named_first_keeps_its_row():
    rows = [row("r", source="z", instruction="i"), row("r", source="a", instruction="i")]
    assert removed(rows, on="prompt") == [(1, 0)]
    assert removed(rows[::-1], on="prompt") == [(1, 0)]


@pytest.mark.parametrize(("keep", "stays"), [("longest", 1), ("shortest", 0), ("source-order", 0)])
def test_keep_chooses_by_length(keep, stays):
    rows = [
        row("r", source="a", instruction="i"),
        row("a long response", source="b", instruction="i"),
        row("responses", source="c", instruction="i"),
    ]
    assert [witness for _, witness in removed(rows, on="prompt", keep=keep)] == [stays, stays]


def test_within_compares_only_rows_of_one_task():
    rows = [row("r", task=task, instruction="i") for task in ("a", "b", "a")]
    assert removed(rows, on="prompt", within="task") == [(2, 0)]
    assert removed(rows, on="prompt", within=["source", "task"]) == [(2, 0)]
    assert removed(rows, on="prompt", within="source") == [(1, 0), (2, 0)]


def test_conversations_are_compared_by_their_turns():
    rows = [
        row(messages=turns(("user", "hi"), ("assistant", "hello"))),
        row(messages=turns(("user", "hi"), ("assistant", "good day"))),
        row(messages=turns(("user", "hi"), ("assistant", "hello"))),
    ]
    assert removed(rows, on="prompt") == [(1, 0), (2, 0)] or removed(rows, on="prompt") == [(0, 1), (2, 1)]
    assert removed(rows, on="whole") == [(2, 0)]
    assert removed(rows, on=["prompt", "response"]) == [(2, 0)]


def test_rules_in_order_point_to_rows_that_stay():
    rows = [
        row("r", source="b", instruction="same", input="1"),
        row("r", source="a", instruction="same", input="1"),
        row("longer response", source="c", instruction="same", input="2"),
    ]
    table = store(rows)
    spec = Dedup(
        exact=[{"on": "whole"}, {"on": "instruction", "keep": "longest"}],
    )
    decisions = dedup.run(table, everyone(table), spec)
    assert decisions.check(everyone(table)).tolist() == [2]
    assert decisions.row.tolist() == [0, 1]
    assert decisions.witness.tolist() == [2, 2]
    assert [decisions.reasons[code] for code in decisions.reason] == [
        "duplicate of instruction",
        "duplicate of whole",
    ]


def test_only_rows_still_in_are_looked_at():
    table = store([row("r", instruction="i")] * 3)
    alive = np.array([1, 2], np.uint32)
    decisions = dedup.run(table, alive, Dedup(exact={"on": "prompt"}))
    assert (decisions.row.tolist(), decisions.witness.tolist()) == ([2], [1])


def test_no_rule_removes_nothing():
    table = store([row("r")] * 2)
    assert len(dedup.run(table, everyone(table), Dedup()).row) == 0


@pytest.mark.parametrize("rule", [{"on": []}, {"on": "output"}, {"on": "prompt", "keep": "best"}, {"of": "prompt"}])
def test_rules_that_mean_nothing_are_refused(rule):
    with pytest.raises(ValidationError):
        Dedup(exact=[rule])


def test_no_text_slips_from_the_prompt_into_the_response():
    assert removed([row("b\nc", instruction="a"), row("c", instruction="a\nb")], on=["whole"]) == []
    assert removed([row("b", instruction="a"), row("b", instruction="a", task="u")], on=["whole"]) != []
