import numpy as np
import pytest

from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.format import Template
from chaffinch.stages import format as formatting
from tests.rows import everyone, row, store, turns


def rendered(rows, template):
    if isinstance(template, str):
        template = formatting.load_template(template)
    table = store(rows, chunk=3)
    answer = formatting.run(table, everyone(table), template)
    return list(zip(answer["prompt"].to_pylist(), answer["response"].to_pylist(), strict=True))


def test_birbals_prompt():
    rows = [row("4", instruction="Add.", input="2 + 2"), row("5", instruction=" \n", input="2 + 3")]
    assert rendered(rows, "birbal") == [
        ("### Instruction:\nAdd.\n\n### Input:\n2 + 2\n\n### Response:\n", "4"),
        ("### Input:\n2 + 3\n\n### Response:\n", "5"),
    ]


def test_alpacas_prompts():
    rows = [row("4", instruction="Add.", input="2 + 2"), row("hi", instruction="Greet.")]
    assert rendered(rows, "alpaca") == [
        (
            "Below is an instruction that describes a task, paired with an input that provides further "
            "context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nAdd.\n\n### Input:\n2 + 2\n\n### Response:",
            "4",
        ),
        (
            "Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nGreet.\n\n### Response:",
            "hi",
        ),
    ]


def test_conversations_end_before_the_last_answer():
    talk = turns(
        ("system", "Be kind."),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "bye"),
        ("assistant", "so long"),
    )
    prompt = (
        "### Instruction:\nBe kind.\n\n### Input:\nhi\n\n### Response:\nhello\n\n### Input:\nbye\n\n### Response:\n"
    )
    assert rendered([row(messages=talk)], "birbal") == [(prompt, "so long")]


def test_braces_in_data_mean_nothing():
    talk = turns(("user", "{content}"), ("assistant", "{}"))
    rows = [row("{input}", instruction="{input} {{", input="{instruction}}{"), row(messages=talk)]
    assert rendered(rows, "birbal") == [
        ("### Instruction:\n{input} {{\n\n### Input:\n{instruction}}{\n\n### Response:\n", "{input}"),
        ("### Input:\n{content}\n\n### Response:\n", "{}"),
    ]


def test_rows_come_in_the_order_given():
    table = store([row(str(at), input="x") for at in range(5)])
    answer = formatting.run(table, np.array([4, 0, 4], np.uint32), formatting.load_template("birbal"))
    assert answer["response"].to_pylist() == ["4", "0", "4"]


def test_a_role_without_a_pattern_is_refused():
    template = Template(prompt=[{"text": "{input}"}], turns={"user": "{content}"})
    with pytest.raises(DataError, match=r'row 0 has a turn of "system".*\nhint: let the template know the role'):
        rendered([row(messages=turns(("system", "s"), ("user", "u"), ("assistant", "a")))], template)


@pytest.mark.parametrize("text", ["{input", "input}", "{output}", "{}", "{input.length}", "{input!r}", "{ input }"])
def test_templates_that_mean_nothing_are_refused(text):
    with pytest.raises(RecipeError, match="hint: a field stands in braces"):
        rendered([row("r")], Template(prompt=[{"text": text}]))


def test_conditions_name_fields():
    with pytest.raises(RecipeError, match="condition"):
        rendered([row("r")], Template(prompt=[{"text": "x", "when": "output"}]))


def test_templates_are_found_by_name_or_path(tmp_path):
    with pytest.raises(RecipeError, match="hint: choose alpaca, birbal, chatml"):
        formatting.load_template("vicunia")
    with pytest.raises(FileNotFoundError):
        formatting.load_template(str(tmp_path / "none.yaml"))
    path = tmp_path / "mine.yaml"
    path.write_text("prompt: [{text: 'Q: {input} {{A}}:'}]\n")
    assert rendered([row("r", input="x")], str(path)) == [("Q: x {A}:", "r")]
    path.write_text("prompt: [{text: '{input}{response}'}]\n")
    with pytest.raises(RecipeError, match="is to learn"):
        formatting.load_template(str(path))
    path.write_text("prompt: [{txt: x}]\n")
    with pytest.raises(RecipeError, match="txt"):
        formatting.load_template(str(path))
    path.write_text("prompt: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(RecipeError, match="constructor"):
        formatting.load_template(str(path))
