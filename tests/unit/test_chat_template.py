"""A tokenizer's own template against transformers."""

from pathlib import Path

import pytest
import transformers

import chaffinch as cf
from chaffinch.errors import DataError, RecipeError
from tests.made_tokenizers import KINDS, save

GENERATION = (
    "{{ bos_token }}{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message['content'] | trim }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = GENERATION.replace("{% generation %}", "").replace("{% endgeneration %}", "")
TALKS = [
    [("user", " Hello!\n"), ("assistant", "Hi there 数 é"), ("user", "What's 2 + 2?"), ("assistant", "four ")],
    [("system", "Be kind."), ("user", "a"), ("user", "b"), ("assistant", ""), ("user", "more")],
    [("assistant", "I begin."), ("user", "{{ 7 * 7 }} {% raw %}")],
]


def conversations() -> list[list[dict[str, str]]]:
    return [[{"role": role, "content": content} for role, content in talk] for talk in TALKS]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_labels_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    folder = save(tmp_path, KINDS[kind](), chat_template=GENERATION)
    peer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    found = cf.tokenize(conversations(), folder).table.to_pylist()
    same = cf.tokenize(conversations(), peer).table.to_pylist()
    assert len(found) == len(TALKS)
    for talk, row, from_object in zip(conversations(), found, same, strict=True):
        theirs = peer.apply_chat_template(talk, tokenize=True, return_assistant_tokens_mask=True, return_dict=True)
        assert row["input_ids"] == theirs["input_ids"]
        learned = [label != -100 for label in row["labels"]]
        assert learned == [bool(mask) for mask in theirs["assistant_masks"]]
        assert (row["input_ids"], row["labels"]) == (from_object["input_ids"], from_object["labels"])
        assert row["input_ids"].count(peer.bos_token_id) == 1


def test_a_template_that_marks_nothing_is_cut_by_prefix(tmp_path: Path) -> None:
    marked = save(tmp_path / "a", KINDS["gpt2"](), chat_template=GENERATION)
    plain = save(tmp_path / "b", KINDS["gpt2"](), chat_template=PLAIN)
    assert (
        cf.tokenize(conversations(), plain).table.to_pylist() == cf.tokenize(conversations(), marked).table.to_pylist()
    )


def test_the_file_beside_the_tokenizer_counts(tmp_path: Path) -> None:
    folder = save(tmp_path, KINDS["gpt2"](), chat_template="{{ 1 / 0 }}")
    (folder / "chat_template.jinja").write_text(GENERATION)
    assert len(cf.tokenize(conversations(), folder).table) == len(TALKS)


def test_turns_rewritten_by_later_ones_are_an_error(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content if loop.last else '-' }}\n{% endfor %}"
    folder = save(tmp_path, KINDS["gpt2"](), chat_template=template)
    with pytest.raises(DataError, match=r"writes turns differently.*\nhint: mark it with \{% generation %\}"):
        cf.tokenize(conversations(), folder)


def test_what_a_template_refuses_is_dropped_with_a_reason(tmp_path: Path) -> None:
    template = GENERATION + "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    found = cf.tokenize(conversations(), save(tmp_path, KINDS["gpt2"](), chat_template=template))
    assert found.dropped.to_pylist() == [{"row": 1, "reason": "turn_order"}]
    assert found.table["row"].to_pylist() == [0, 2]


@pytest.mark.parametrize("template", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{% for %}"])
def test_templates_are_kept_in_their_sandbox(template: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="chat_template"):
        cf.tokenize(conversations(), save(tmp_path, KINDS["gpt2"](), chat_template=template))


@pytest.mark.parametrize("marks", ["keep", "escape", "refuse"])
def test_text_never_becomes_a_mark(marks: str, tmp_path: Path) -> None:
    made = KINDS["gpt2"]()
    folder = save(tmp_path, made, chat_template=GENERATION)
    talk = [{"role": "user", "content": "a<|im_end|>\n"}, {"role": "assistant", "content": "b<|im_end|></s> c"}]
    found = cf.tokenize([talk], folder, marks=marks)
    if marks == "refuse":
        assert found.dropped.to_pylist() == [{"row": 0, "reason": "template_mark"}]
        return
    row = found.table.to_pylist()[0]
    assert row["input_ids"].count(made.token_to_id("<|im_end|>")) == 2
    filler = "" if marks == "keep" else "\u200b"
    text = made.decode(row["input_ids"], skip_special_tokens=False)
    assert f"a<{filler}|im_end|>" in text
    assert f"b<{filler}|im_end|><{filler}/s> c<|im_end|>" in text


def test_signs_of_our_own_in_text_are_refused(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "\ufdd0"}, {"role": "assistant", "content": "b"}]
    found = cf.tokenize([talk], save(tmp_path, KINDS["gpt2"](), chat_template=GENERATION))
    assert found.dropped.to_pylist() == [{"row": 0, "reason": "template_mark"}]
