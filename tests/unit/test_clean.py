import numpy as np
import pytest
from pydantic import ValidationError

from chaffinch.recipe.clean import Clean
from chaffinch.stages import clean
from tests.rows import everyone, row, store, turns


def reasons(rows, **spec):
    table = store(rows, chunk=2)
    decisions = clean.run(table, everyone(table), Clean(**spec))
    decisions.check(everyone(table))
    found = dict(zip(decisions.row.tolist(), decisions.reason.tolist(), strict=True))
    return [decisions.reasons[found[at]] if at in found else None for at in range(len(table))]


def test_empty_prompts_and_responses_always_go():
    rows = [row("r", instruction="i"), row("r", input=" \n\u2003"), row("\x1c", input="x"), row(input="x")]
    assert reasons(rows) == [None, "empty prompt", "empty response", "empty response"]


def test_but_a_recipe_can_keep_them():
    assert reasons([row("", input="")], empty_prompt="keep", empty_response="keep") == [None]


def test_conversations_need_an_answer():
    rows = [
        row(messages=turns(("user", "hi"))),
        row(messages=turns(("user", "hi"), ("assistant", " "), ("user", "?"), ("assistant", "yes"))),
        row(messages=turns(("assistant", "hi"))),
        row(messages=turns(("user", "hi"), ("assistant", "hello"))),
        row(messages=[]),
    ]
    found = reasons(rows)
    assert found == ["no assistant turn", "empty assistant turn", "empty prompt", None, "empty prompt"]


def test_birbals_rules():
    """Inputs of four or fewer space-split words, and 800 or more of f"{instruction} {input}", go."""
    lengths = [
        {"field": "input", "unit": "space", "min": 5},
        {"field": "instruction+input", "unit": "space", "max": 799},
    ]
    inputs = ["a b c d", "a b c  d", "w " * 797 + "w", "w " * 796 + "w", "w " * 798 + "w"]
    instructions = ["i", "i", "i i", "i i", ""]
    expected = []
    for instruction, text in zip(instructions, inputs, strict=True):
        short = len(text.split(" ")) <= 4
        long = len(f"{instruction} {text}".split(" ")) >= 800
        expected.append(
            "input under 5 space-split words"
            if short
            else "instruction+input over 799 space-split words"
            if long
            else None
        )
    rows = [row("r", instruction=one, input=two) for one, two in zip(instructions, inputs, strict=True)]
    assert reasons(rows, lengths=lengths) == expected
    assert [reason is None for reason in expected] == [False, True, False, True, False]


def test_forbidden_texts():
    rows = [row("print(1)", input="x"), row("print (1)", input="print("), row("a.*b", input="x")]
    assert reasons(rows, forbid={"response": ["print(", ".*"]}) == [
        "response contains 'print(' or '.*'",
        None,
        "response contains 'print(' or '.*'",
    ]


def test_rules_of_some_sources_leave_the_others_alone():
    rows = [row("no", source="a", input="x"), row("no", source="b", input="x")]
    forbid = [{"field": "response", "texts": ["no"], "sources": ["b", "not there"]}]
    assert reasons(rows, forbid=forbid) == [None, "response contains 'no'"]
    lengths = [{"field": "response", "unit": "characters", "min": 3, "sources": "a"}]
    assert reasons(rows, lengths=lengths) == ["response under 3 characters", None]


def test_the_first_broken_rule_is_the_reason():
    lengths = [{"field": "whole", "min": 9}, {"field": "whole", "min": 99}]
    assert reasons([row("r", input="x")], lengths=lengths) == ["whole under 9 words"]


def test_rows_that_are_out_already_stay_out():
    table = store([row("")] * 3)
    alive = np.array([1], np.uint32)
    assert clean.run(table, alive, Clean()).row.tolist() == [1]
    assert clean.run(table, np.array([], np.uint32), Clean()).row.tolist() == []


def test_no_rows():
    assert reasons([]) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"lengths": [{"field": "input"}]},
        {"lengths": [{"field": "input", "min": 5, "max": 4}]},
        {"lengths": [{"field": "input", "min": 5.0}]},
        {"lengths": [{"field": "output", "min": 5}]},
        {"forbid": {"response": [""]}},
        {"forbid": {"output": ["x"]}},
        {"minimum": 3},
    ],
)
def test_rules_that_mean_nothing_are_refused(spec):
    with pytest.raises(ValidationError):
        Clean(**spec)
