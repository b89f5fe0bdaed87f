"""The registry, and what the stage makes of it."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from chaffinch.errors import RecipeError
from chaffinch.provenance import registry
from chaffinch.recipe.provenance import Provenance
from chaffinch.recipe.source import Source
from chaffinch.stages import provenance
from chaffinch.stages.provenance import REASONS

MATH = {
    "data/CoT/gsm_train.json": ("human", "human", None),
    "data/CoT/aqua_rat.json": ("human", "human", None),
    "data/CoT/MATH_train.json": ("human", "human", None),
    "data/CoT/gsm_rft.json": ("human", "model", "meta/llama"),
    "data/CoT/math50k_camel.json": ("model", "model", "openai/gpt-4"),
    "data/CoT/college_math.json": ("model", "model", "openai/gpt-4"),
    "data/CoT/TheoremQA.json": ("human", "model", "openai/gpt-4"),
    "data/CoT/number_comparison.json": ("unknown", "unknown", None),
    "data/PoT/TheoremQA.json": ("human", "model", "openai/gpt-4"),
    "data/PoT/gsm_gpt4.json": ("human", "model", "openai/gpt-4"),
    "data/PoT/aqua_rat_filtered.json": ("human", "model", "openai/gpt-4"),
    "data/PoT/MATH_train.json": ("human", "model", "openai/gpt-4"),
    "data/PoT/mathqa.json": ("human", "human", None),
    "data/PoT/numglue.json": ("human", "human", None),
    "data/CoT/a_new_one.json": ("unknown", "unknown", None),
}
PLATYPUS = {
    "airoboros": ("model", "model", "openai/gpt-4"),
    "MATH/PRM-800K": ("human", "unknown", None),
    "leetcode_ne": ("human", "unknown", None),
    "tigerbot-kaggle": ("human", "unknown", None),
    "reclor": ("human", "human", None),
    "scienceqa": ("human", "human", None),
    "scibench": ("human", "human", None),
    "theoremqa": ("human", "human", None),
    "ARB": ("human", "human", None),
    "guanaco": ("human", "human", None),
}


@dataclass
class Store:
    """The columns of the store that the stage reads."""

    table: Any
    ranges: dict[str, tuple[int, int]]


def store(**sources: list[dict[str, Any]]) -> Store:
    """Rows by source: keys that name a column go there, all others to `meta`."""
    columns = ["task", "category", "language", "licence"]
    values: dict[str, list[Any]] = {name: [] for name in [*columns, "meta"]}
    ranges, end = {}, 0
    for name, rows in sources.items():
        ranges[name] = (end, end := end + len(rows))
        for row in rows:
            meta = {key: value for key, value in row.items() if key not in columns}
            for column in columns:
                values[column].append(row.get(column))
            values["meta"].append(json.dumps(meta) if meta else None)
    table = pa.table({name: pa.array(column, pa.string_view()) for name, column in values.items()})
    halves = [table.slice(0, len(table) // 3), table.slice(len(table) // 3)]
    return Store(pa.concat_tables(halves), ranges)


def told(rows: Store, *sources: Source) -> list[tuple[Any, ...]]:
    marks = provenance.origins(rows, sources)
    columns = marks.columns(np.arange(len(rows.table), dtype=np.uint32))
    assert columns.pop("traces").null_count == len(rows.table)
    return list(zip(*(columns[name].to_pylist() for name in columns), strict=True))


def source(name: str, **more: Any) -> Source:
    return Source(name=name, files=["*"], **more)


def test_the_survey_has_36_rows_and_stays_apart():
    assert len(registry().table7) == 36
    assert not {entry.name for entry in registry().table7} & {entry.name for entry in registry().additions}
    assert all(entry.basis for entry in registry().additions)
    assert all(rule.basis for entry in registry().entries for rule in entry.row_rules)
    assert len(registry().table()) == len(registry().entries)


def test_names_and_aliases_are_each_of_one_data_set():
    seen: dict[str, str] = {}
    for entry in registry().entries:
        for name in {
            "".join(mark for mark in one.casefold() if mark.isalnum()) for one in (entry.name, *entry.aliases)
        }:
            assert seen.setdefault(name, entry.name) == entry.name
        for one in (entry.name, *entry.aliases):
            assert registry().lookup(one) is entry


def test_a_generator_is_named_only_where_a_model_wrote():
    for entry in registry().entries:
        origins = {entry.prompt_origin, entry.response_origin}
        origins |= {origin for rule in entry.row_rules for origin in (rule.prompt, rule.response)}
        assert bool(entry.generators) == ("model" in origins)
        for rule in entry.row_rules:
            assert bool(rule.generator) == ("model" in (rule.prompt, rule.response))


@pytest.mark.parametrize("name", ["gpt-4-llm", "GPT4 LLM", "gpt4alpaca", "GPT_4_LLM"])
def test_lookup_ignores_case_and_punctuation(name):
    assert registry().lookup(name).name == "GPT-4-LLM"


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(RecipeError, match=r"no data set 'Alpacca'.*\nhint: did you mean Alpaca"):
        registry().lookup("Alpacca")
    with pytest.raises(RecipeError, match="hint: `chaffinch sources` lists them"):
        registry().lookup("qqqqqqqq")


@pytest.mark.parametrize(
    ("name", "field", "rules"), [("MathInstruct", "source", MATH), ("Open-Platypus", "data_source", PLATYPUS)]
)
def test_every_row_rule(name, field, rules):
    rows = store(one=[{field: value} for value in rules])
    assert told(rows, source("one", registry=name)) == list(rules.values())


def test_layers_speak_in_order():
    rows = store(
        rule=[{"source": "data/CoT/aqua_rat.json"}, {"source": "data/CoT/gsm_rft.json"}, {}],
        override=[{}],
        entry=[{}],
        nothing=[{}],
    )
    ours = {
        "field": "source",
        "values": "data/CoT/aqua_rat.json",
        "response": "model",
        "generator": "mine/own",
    }
    assert told(
        rows,
        source(
            "rule",
            registry="MathInstruct",
            row_origins=[ours],
            prompt_origin="human",
            response_origin="model",
        ),
        source("override", registry="Alpaca", response_origin="human", generator="a/b"),
        source("entry", registry="ShareGPT"),
        source("nothing"),
    ) == [
        ("human", "model", "mine/own"),  # the recipe's rule tells the response, the registry's the prompt
        ("human", "model", "meta/llama"),
        ("human", "model", "openai/gpt-4 | meta/llama"),  # no rule for it: the source's own words
        ("model", "human", "a/b"),
        ("human", "model", "openai/chatgpt"),
        ("unknown", "unknown", None),
    ]


def test_the_first_rule_that_tells_something_counts():
    rows = store(one=[{"kind": "a", "writer": "bot"}, {"kind": "b", "writer": "bot"}, {"kind": "b"}])
    rules = [
        {"field": "kind", "values": ["a"], "response": "human"},
        {"field": "writer", "values": ["bot"], "prompt": "model", "response": "model", "generator": "x/y"},
    ]
    assert told(rows, source("one", row_origins=rules, prompt_origin="human")) == [
        ("model", "human", "x/y"),
        ("model", "model", "x/y"),
        ("human", "unknown", None),
    ]


def test_a_field_that_became_the_task_is_still_found():
    rows = store(one=[{"task": "airoboros"}, {"task": "reclor"}])
    origins = told(rows, source("one", registry="Open-Platypus", fields={"task": "data_source"}))
    assert origins == [PLATYPUS["airoboros"], PLATYPUS["reclor"]]


@pytest.fixture(scope="module")
def mixed():
    human = {"values": "h", "prompt": "human", "response": "human"}
    rules = [
        human,
        {"values": "answered", "prompt": "human", "response": "model"},
        {"values": "asked", "prompt": "model", "response": "human"},
        {"values": "both", "prompt": "model", "response": "model"},
    ]
    rules = [{"field": "by", **rule} for rule in rules]
    kinds = [{"by": kind} for kind in ("h", "answered", "asked", "both", "?")]
    rows = store(one=kinds, two=kinds)
    return rows, provenance.origins(rows, [source("one", row_origins=rules), source("two", row_origins=rules)])


def decided(mixed, alive=None, **spec):
    rows, marks = mixed
    alive = np.arange(10, dtype=np.uint32) if alive is None else np.array(alive, np.uint32)
    decisions = provenance.run(rows, alive, Provenance.model_validate(spec), marks)
    decisions.check(alive)
    removed = zip(decisions.row.tolist(), decisions.reason.tolist(), strict=True)
    return {row: decisions.reasons[reason] for row, reason in removed}, decisions.notes


MODEL_RESPONSE, MODEL_PROMPT, UNKNOWN_RESPONSE, UNKNOWN_PROMPT = REASONS


def test_denied_responses(mixed):
    removed, notes = decided(mixed, deny=["response"], unknown="allow")
    assert removed == dict.fromkeys((1, 3, 6, 8), MODEL_RESPONSE)
    assert notes == {"kept with a response of unknown origin": 2}


def test_unknown_is_denied_with_what_is_denied(mixed):
    removed, notes = decided(mixed, deny=["response"])
    assert removed == dict.fromkeys((1, 3, 6, 8), MODEL_RESPONSE) | {
        4: UNKNOWN_RESPONSE,
        9: UNKNOWN_RESPONSE,
    }
    assert notes == {"kept with a response of unknown origin": 0}


def test_denied_prompts(mixed):
    assert decided(mixed, deny=["prompt"], unknown="allow")[0] == dict.fromkeys((2, 3, 7, 8), MODEL_PROMPT)
    assert decided(mixed, deny=["prompt"])[0][4] == UNKNOWN_PROMPT


def test_the_first_of_several_reasons_is_given(mixed):
    removed, _ = decided(mixed, deny=["prompt", "response"], unknown="deny", alive=[0, 1, 2, 3, 4])
    assert removed == {1: MODEL_RESPONSE, 2: MODEL_PROMPT, 3: MODEL_RESPONSE, 4: UNKNOWN_RESPONSE}


def test_excepted_sources_pass_and_dead_rows_stay_dead(mixed):
    removed, notes = decided(mixed, alive=[1, 4, 5, 6], deny=["response"], unknown="deny", **{"except": ["one"]})
    assert removed == {6: MODEL_RESPONSE}
    assert notes == {"kept with a response of unknown origin": 1}


def test_an_unknown_exception_is_refused(mixed):
    with pytest.raises(RecipeError, match=r"no source 'three'\nhint: the sources are one, two"):
        decided(mixed, deny=["response"], **{"except": "three"})


def test_a_rule_that_denies_nothing_is_refused():
    with pytest.raises(ValidationError, match="at least 1 item in `deny` or in `traces`"):
        Provenance(deny=[])


def test_no_rows_at_all():
    rows = store(one=[])
    marks = provenance.origins(rows, [source("one", registry="MathInstruct")])
    alive = np.empty(0, np.uint32)
    assert len(provenance.run(rows, alive, Provenance(deny=["response"]), marks).row) == 0
