"""Lengths against Python's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.recipe.clean import Clean
from chaffinch.stages import clean
from tests.rows import everyone, row, store

spaces = st.sampled_from(
    [" ", "\n", "\x1c", "\x1f", "\x85", "\xa0", "\u2028", "\u3000", "\u200b", "\ufeff", "a", "é", "😀"]
)
texts = st.text() | st.lists(spaces, max_size=12).map("".join)

COUNTS = {
    "characters": len,
    "space": lambda text: len(text.split(" ")),
    "whitespace": lambda text: len(text.split()),
}


@pytest.mark.parametrize("unit", list(COUNTS))
@given(instruction=texts, text=texts, response=texts)
def test_units_count_as_python_does(unit, instruction, text, response):
    table = store([row(response, instruction=instruction, input=text)])
    fields = {
        "instruction": instruction,
        "input": text,
        "response": response,
        "instruction+input": f"{instruction} {text}",
    }
    for field, value in fields.items():
        length = COUNTS[unit](value)
        for low, high, stays in (
            (length, length, True),
            (length + 1, None, False),
            (None, length - 1, False),
        ):
            if high is not None and high < 0:
                continue
            bounds = {"field": field, "unit": unit, "min": low, "max": high}
            spec = Clean(empty_prompt="keep", empty_response="keep", lengths=[bounds])
            assert (len(clean.run(table, everyone(table), spec).row) == 0) == stays, (field, value)


@given(texts)
def test_empty_means_nothing_left_by_strip(text):
    table = store([row(text, input="x")])
    assert len(clean.run(table, everyone(table), Clean()).row) == (not text.strip())
