"""Birbal's template against the f-strings of its published script."""

from hypothesis import given
from hypothesis import strategies as st

from chaffinch.stages import format as formatting
from tests.rows import everyone, row, store

texts = st.text() | st.sampled_from(["{instruction}", "{{", "}", "\x1c \n", "{input!r:>9}", "%s", "\\n"])


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5))
def test_birbal(rows):
    table = store([row(answer, instruction=instruction, input=text) for instruction, text, answer in rows])
    answer = formatting.run(table, everyone(table), formatting.load_template("birbal"))
    for at, (instruction, text, response) in enumerate(rows):
        question = ""
        if len(instruction.strip()) > 0:
            question += f"### Instruction:\n{instruction}\n\n"
        question += f"### Input:\n{text}\n\n"
        question += "### Response:\n"
        assert answer["prompt"][at].as_py() == question
        assert answer["response"][at].as_py() == response
