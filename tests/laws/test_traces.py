"""The kernel of traces against a twin in plain Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.provenance.traces import TraceRule, trace_rules
from chaffinch.stages import traces
from chaffinch.stages.traces import generated_traces
from tests import traces_twin
from tests.rows import everyone, row, store, turns

RULES = list(trace_rules().values())
PIECES = sorted(
    {text for rule in RULES for text in [*rule.matches, *rule.passes]}
    | {f'said "{text}"' for rule in RULES for text in rule.matches}
    | {"\n", " ", '"', "“", "”", "'", "x", "_", "数", "é", ". ", "it said ", "acts ", " user", "### "}
)
long = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


@pytest.mark.parametrize("part", ["prompt", "response"])
@given(texts=st.lists(long, max_size=8))
def test_the_shipped_rules_find_what_a_plain_search_finds(part, texts):
    found = generated_traces(texts, part=part)
    expected = [
        {"row": at, "rule": rule, "start": start, "end": end, "match": text[start:end]}
        for at, text in enumerate(texts)
        for rule, start, end in traces_twin.traces(text, RULES, part)
    ]
    assert found.to_pylist() == expected


few = st.text("aAb _\n\"'“”我é.", max_size=12)
phrase = st.text('ab _我."', min_size=1, max_size=3)
rules = st.builds(
    TraceRule,
    id=st.just("r"),
    family=st.just("f"),
    says=st.just("s"),
    part=st.sampled_from(["prompt", "response", "both"]),
    place=st.sampled_from(["anywhere", "start", "whole"]),
    quoted=st.booleans(),
    phrases=st.lists(phrase, min_size=1, max_size=3),
    then=st.lists(phrase, max_size=2),
    not_after=st.lists(phrase, max_size=1),
    not_before=st.lists(phrase, max_size=1),
    matches=st.just(["x"]),
    passes=st.just(["x"]),
)


@given(texts=st.lists(few, min_size=1, max_size=6), made=st.lists(rules, min_size=1, max_size=3))
def test_any_rules_find_what_a_plain_search_finds(texts, made):
    table = store([row(text) for text in texts], chunk=2)
    found = traces.find(table, everyone(table), made).to_pylist()
    expected = [
        {"row": at, "rule": number, "response": True, "words": text[start:-end]}
        for at, text in enumerate(texts)
        for number, rule in enumerate(made)
        if rule.part != "prompt" and (places := traces_twin.spans(text, rule))
        for start, end in [min(places)]
    ]
    assert [line for line in found if line["response"]] == expected


@given(st.lists(long, max_size=6), st.data())
def test_the_order_of_rows_changes_nothing(texts, data):
    def by_text(given_texts):
        lines = generated_traces(given_texts).to_pylist()
        return sorted((given_texts[line.pop("row")], sorted(line.items())) for line in lines)

    assert by_text(texts) == by_text(data.draw(st.permutations(texts)))


@given(st.lists(st.tuples(long, long, long), min_size=1, max_size=5))
def test_rows_and_conversations_tell_the_same(made):
    """A conversation of the same texts has the same traces; rows that share an instruction do not hide each other's."""
    plain = store([row(answer, instruction=ask, input=more) for ask, more, answer in made for _ in range(2)])
    talks = store(
        [
            row(messages=turns(("user", ask), ("tool", answer), ("user", more), ("assistant", answer)))
            for ask, more, answer in made
            for _ in range(2)
        ]
    )
    assert traces.find(plain, everyone(plain), RULES) == traces.find(talks, everyone(talks), RULES)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_change_nothing(threads):
    chosen = np.random.default_rng(3).integers(0, len(PIECES), (20_000, 2))
    texts = pa.array([PIECES[one] + PIECES[other] for one, other in chosen])
    assert generated_traces(texts, threads=threads) == generated_traces(texts, threads=1)
