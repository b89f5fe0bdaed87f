"""The rules of traces and their examples, the Python function, and hostile texts."""

import re

import pyarrow as pa
import pytest

import chaffinch as cf
from chaffinch.errors import RecipeError
from chaffinch.provenance.traces import chosen, families, named, trace_rules

RULES = list(trace_rules().values())
MATCHES = [pytest.param(rule, text, id=f"{rule.id}-{text[:20]}") for rule in RULES for text in rule.matches]
PASSES = [pytest.param(rule, text, id=f"{rule.id}-{text[:20]}") for rule in RULES for text in rule.passes]


def part_of(rule):
    return "prompt" if rule.part == "prompt" else "response"


@pytest.mark.parametrize(("rule", "text"), MATCHES)
def test_examples_match(rule, text):
    found = cf.generated_traces([text], rules=[rule.id], part=part_of(rule))
    assert found["rule"].to_pylist() == [rule.id]


@pytest.mark.parametrize(("rule", "text"), PASSES)
def test_counterexamples_pass_all_rules(rule, text):
    assert cf.generated_traces([text], part=part_of(rule)).to_pylist() == []


def test_rules_are_written_as_they_are_meant():
    for rule in RULES:
        phrases, then = rule.spelt_out()
        assert all(text.strip() for text in [*phrases, *then])
        assert all(text == text.strip() for text in phrases), rule.id
        # A group within a group would be taken as it stands.
        assert not [text for text in [*phrases, *then] if re.search(r"[()]", text)], rule.id
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert not {"all", *families()} & {rule.id}


def test_the_answer_has_characters_and_words():
    text = "Ünï 数 As an AI, I\u2019m quiet. As an AI, I"
    found = cf.generated_traces(["", text, None, text], rules=["self-identification"])
    assert found.schema == pa.schema(
        [
            pa.field("row", pa.uint32(), nullable=False),
            pa.field("rule", pa.dictionary(pa.int32(), pa.string())),
            pa.field("start", pa.uint32(), nullable=False),
            pa.field("end", pa.uint32(), nullable=False),
            pa.field("match", pa.string(), nullable=False),
        ]
    )
    for row, line in zip([1, 3], found.to_pylist(), strict=True):
        assert line == {"row": row, "rule": "as-an-ai", "start": 6, "end": 17, "match": "As an AI, I"}
        assert text[line["start"] : line["end"]] == line["match"]


def test_a_rule_reads_its_part():
    assert cf.generated_traces(["No input."], part="prompt")["rule"].to_pylist() == ["no-input-text"]
    assert cf.generated_traces(["No input."], part="response").num_rows == 0
    assert cf.generated_traces(["As an AI, I"], part="prompt").num_rows == 0
    with pytest.raises(ValueError, match="part is 'both'\nhint: `prompt` or"):
        cf.generated_traces([""], part="both")  # type: ignore[arg-type]


def test_rules_are_chosen_by_rule_family_or_all():
    assert [rule.id for rule in chosen(None)] == list(trace_rules()) == named("all")
    assert named("echo") == ["output-echo", "instruction-echo"]
    assert set(named("refusal")) == {rule.id for rule in RULES if rule.family == "refusal"}
    assert [rule.id for rule in chosen(["echo", "as-an-ai"])] == ["as-an-ai", *named("echo")]
    assert cf.generated_traces(["As an AI, I"], rules="refusal").num_rows == 0
    assert cf.generated_traces(["As an AI, I"], rules=[]).num_rows == 0


@pytest.mark.parametrize(("name", "near"), [("as-a-ai", "as-an-ai"), ("refusals", "refusal"), ("zzz", "--traces")])
def test_an_unknown_rule_is_refused_with_the_nearest(name, near):
    with pytest.raises(RecipeError, match=f"no rule or family of traces '{name}'\nhint: .*{near}"):
        cf.generated_traces([""], rules=[name])


def test_what_is_no_text_is_refused():
    with pytest.raises(ValueError, match="row 1 holds a lone surrogate"):
        cf.generated_traces(["fine", "bad \ud800"])
    with pytest.raises(ValueError, match="int64, not text"):
        cf.generated_traces([1])
    with pytest.raises(ValueError, match="threads is 0"):
        cf.generated_traces([""], threads=0)


def test_hostile_texts():
    assert cf.generated_traces([]).num_rows == 0
    assert cf.generated_traces([None, "", "\x00\x1b[31m", "\u202eas an ai, i", "🏳️‍🌈"]).num_rows == 1
    # Fifty megabytes of openings that come to nothing, of quotation marks, and of one match at the very end.
    openings = "I'm sorry, but I cannot " * 2_000_000
    marks = '"' * 50_000_000 + "As an AI, I"
    found = cf.generated_traces([openings, marks, "<noinput>" * 1_000_000])
    assert found.to_pylist() == [
        {"row": 1, "rule": "as-an-ai", "start": 50_000_000, "end": 50_000_011, "match": "As an AI, I"},
        {"row": 2, "rule": "no-input-mark", "start": 0, "end": 9, "match": "<noinput>"},
    ]


def test_a_million_identical_rows():
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), ["Well, as an AI, I pass."])
    assert cf.generated_traces(texts).num_rows == 1_000_000
