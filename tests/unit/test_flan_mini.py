"""The recipe flan-mini on stand-ins, and what any recipe with pools does."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

from chaffinch import build
from chaffinch.errors import RecipeError
from chaffinch.recipe.load import load_recipe
from chaffinch.recipe.model import Recipe
from chaffinch.synth import synthesise
from tests.conftest import write_jsonl

PUBLISHED = {
    "flan2021": 388_000,
    "p3": 320_000,
    "natural-instructions": 200_000,
    "cot": 100_000,
    "code-search-net": 100_000,
    "code-contests": 50_000,
    "apps": 50_000,
    "gpt4-alpaca": 52_000,
    "code-alpaca": 20_000,
    "sharegpt": 60_000,
}
PIECES = {f"sample.rows.{name}": rows // 100 for name, rows in PUBLISHED.items()}


def test_the_counts_are_the_published_ones():
    assert load_recipe("flan-mini").sample[0].rows == PUBLISHED
    assert sum(PUBLISHED.values()) == 1_340_000


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flan")
    synthesise(folder / "data", 14_500, profile="flan-mini")
    result = build("flan-mini", data=folder / "data", out=folder / "out", set=PIECES, threads=2)
    return result, pq.read_table(folder / "out" / "data").to_pylist()


def test_every_source_gives_its_rows(built):
    result, rows = built
    assert Counter(row["source"] for row in rows) == {name: rows // 100 for name, rows in PUBLISHED.items()}
    assert result.summary["classes"] == {"instruction": 10_080, "code": 2_200, "conversation": 1_120}
    assert "class conversation is 1,120 rows (8.36%), under its threshold of 10.0%" in result.summary["warnings"]


def test_rows_are_conversations_in_the_words_of_their_pools(built):
    result, rows = built
    with_pool = {"natural-instructions", "cot", "code-search-net", "code-contests", "apps"}
    shown = {row["row_id"]: row for row in rows}
    for row in rows:
        assert (row["template"] is not None) == (row["source"] in with_pool)
        assert row["messages"][-1]["role"] == "assistant"
        if row["source"] != "sharegpt":
            assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
            assert row["messages"][1]["content"] == row["response"] == row["references"][0]
            assert row["instruction"] in row["messages"][0]["content"]
            assert row["messages"][0]["content"] in row["prompt"]
        for other in row["demonstrations"]:
            assert other != row["row_id"]
            assert shown[other]["task"] == row["task"]
        assert not row["demonstrations"] or len(row["instruction"]) <= 4_500
    counts = result.summary["asked"]
    assert counts["templates"] == Counter(row["template"] for row in rows if row["template"])
    with_template = [row for row in rows if row["template"]]
    assert counts["demonstrations"] == {
        str(number): n for number, n in Counter(len(row["demonstrations"]) for row in with_template).items()
    }
    assert counts["unfit"] == {}
    assert "flan-cot/step-by-step" in result.report.read_text()


def test_validation_rows_are_never_shown(built):
    result, _ = built
    data = result.out / "data"
    held_out = {row["row_id"] for file in data.glob("validation*") for row in pq.read_table(file).to_pylist()}
    everything = [row for file in data.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(held_out) == 67
    assert not held_out & {other for row in everything for other in row["demonstrations"]}


def small(tmp_path, pool, rows, **more):
    write_jsonl(tmp_path / "data" / "rows.jsonl", rows)
    (tmp_path / "pool.yaml").write_text(pool)
    uses = [{"file": str(tmp_path / "pool.yaml"), "sources": "s"}]
    recipe = {
        "name": "mine",
        "sources": [{"name": "s", "files": "rows.jsonl"}],
        "format": {"template": "alpaca", "pools": uses, **more.pop("format", {})},
        **more,
    }
    result = build(recipe, data=tmp_path / "data", out=tmp_path / "out", threads=1)
    return result, pq.read_table(tmp_path / "out" / "data").to_pylist()


def test_fields_choices_and_what_does_not_fit(tmp_path):
    pool = (
        "name: boolq\n"
        "templates:\n"
        "  - id: choose\n"
        '    prompt: "{passage} {{sic}}\\n{instruction}?\\n{choices}"\n'
        '    response: "{choice}"\n'
        "    choices: [No, Yes]\n"
        "    answer: label\n"
    )
    rows = [
        {"instruction": "is it", "output": "-", "passage": "It is.", "label": 1},
        {"instruction": "is {choice}", "output": "-", "passage": "It {is}.", "label": "0"},
        {"instruction": "is it not", "output": "kept", "passage": "It is.", "label": 2},
        {"instruction": "is it there", "output": "kept", "label": 0},
    ]
    result, found = small(tmp_path, pool, rows)
    assert {(row["instruction"], row["response"], row["template"]) for row in found} == {
        ("It is. {sic}\nis it?\n- No\n- Yes", "Yes", "boolq/choose"),
        ("It {is}. {sic}\nis {choice}?\n- No\n- Yes", "No", "boolq/choose"),
        ("is it not", "kept", None),
        ("is it there", "kept", None),
    }
    assert result.summary["asked"]["unfit"] == {"boolq": 2}
    assert any("pool boolq: 2 rows keep their own text" in warning for warning in result.summary["warnings"])


def test_rows_that_hold_evaluation_items_are_never_shown(tmp_path):
    pool = 'name: p\ntemplates:\n  - {id: plain, prompt: "{instruction}"}\n'
    words = [f"word{n}" for n in range(400)]
    rows = [{"instruction": " ".join(words[n * 15 : n * 15 + 15]), "output": str(n)} for n in range(20)]
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "eval.jsonl", [{"question": row["instruction"]} for row in rows[:8]])
    for policy, left in (("flag", 20), ("remove", 12)):
        _, found = small(
            tmp_path,
            pool,
            rows,
            decontaminate={"against": "eval.jsonl", "policy": policy},
            format={"demonstrations": {"share": 1.0, "max": 4}},
        )
        ids = {row["row_id"]: row["response"] for row in found}
        shown = {ids[other] for row in found for other in row["demonstrations"]}
        assert len(found) == left
        assert len(shown) > 5
        assert not shown & {str(n) for n in range(8)}


def test_training_parts_of_evaluation_sets_are_held_in_by_name(tmp_path):
    rows = [
        {"instruction": f"question {n}", "output": "a", "task": name}
        for n, name in enumerate(["drop_train", "task026_drop_question_generation", "droplets", "drop", "other_drop"])
    ]
    write_jsonl(tmp_path / "data" / "rows.jsonl", rows)
    recipe = {
        "name": "mine",
        "sources": [{"name": "s", "files": "rows.jsonl", "fields": {"task": "task"}}],
        "decontaminate": {"against": "drop", "missing": "skip"},
    }
    result = build(recipe, data=tmp_path / "data", out=tmp_path / "out")
    lines = json.loads((tmp_path / "out" / "manifest.json").read_text())["held_in_tasks"]
    assert [line["task"] for line in lines] == ["drop", "drop_train", "task026_drop_question_generation"]
    assert any(warning.startswith("drop is held in: 3 rows") for warning in result.summary["warnings"])
    assert "Held in by name" in result.report.read_text()


@pytest.mark.parametrize(
    ("pool", "why"),
    [
        ("name: p\ntemplates: []\n", "at least 1 item"),
        ("name: p\ntemplates:\n  - {id: a, prompt: '{output}'}\n", "the prompt holds the answer"),
        ("name: p\ntemplates:\n  - {id: a, prompt: '{open'}\n", "a field stands in braces"),
        ("name: p\ntemplates:\n  - {id: a}\n", "needs a prompt or jinja"),
        ("name: p\ntemplates:\n  - {id: a, jinja: 'x|||y', response: z}\n", "not with jinja"),
        ("name: p\ntemplates:\n  - {id: a, prompt: '{demonstrations}'}\n", "go together"),
        ("name: p\ntemplates:\n  - {id: a, prompt: '{choices}'}\n", "needs `choices:`"),
        ("name: p\ntemplates:\n  - {id: a, prompt: x}\n  - {id: a, prompt: y}\n", "two templates have the id 'a'"),
        ("name: p\ntemplates:\n  - {id: a, prompt: !!python/name:os.system x}\n", "is not YAML"),
        (
            "- {name: p, templates: [{id: a, prompt: x}]}\n- {name: q, templates: [{id: a, prompt: x}]}\n",
            "several pools",
        ),
        ("name: p\ntemplates:\n  - {id: a, jinja: '{{ x.__class__ }}|||y'}\n", "Python's own"),
    ],
)
def test_pools_that_mean_nothing_are_refused(tmp_path, pool, why):
    with pytest.raises(RecipeError, match=why):
        small(tmp_path, pool, [{"instruction": "i", "output": "o"}])


def test_demonstrations_need_pools():
    values = {"name": "m", "sources": [{"name": "s", "files": "f"}], "format": {"demonstrations": {}}}
    with pytest.raises(ValueError, match="there are none"):
        Recipe.model_validate(values)


HOSTILE = """\
name: p
templates:
  - {id: half, jinja: '{{ "\\ud83d" }}{{instruction}}|||{{output}}'}
  - {id: long, jinja: '{{ meta_text }}{{instruction}}|||{{output}}'}
"""


@pytest.mark.parametrize("form", ["jsonl", "datasets", "parquet"])
def test_hostile_rows_are_written_in_every_format(tmp_path, form):
    rows = [
        {"instruction": "plain", "output": "a", "meta_text": "fits "},
        {"instruction": "no such number", "output": "a", "meta_text": "x", "digits": 0},
        {"instruction": "long", "output": "a", "meta_text": "long " * 1_000_000},
        {"instruction": "{{instruction}} {% raw %} ||| \u202e\x1b[31m", "output": "|||", "meta_text": ""},
    ]
    write_jsonl(tmp_path / "data" / "rows.jsonl", rows)
    path = tmp_path / "data" / "rows.jsonl"
    path.write_text(path.read_text().replace('"digits": 0', '"digits": ' + "9" * 5000))
    (tmp_path / "pool.yaml").write_text(HOSTILE)
    recipe = {
        "name": "mine",
        "sources": [{"name": "s", "files": "rows.jsonl"}],
        "format": {
            "template": "alpaca",
            "pools": [{"file": str(tmp_path / "pool.yaml"), "sources": "s"}],
            "demonstrations": {"share": 1.0},
            "conversations": True,
        },
        "write": {"format": form},
    }
    result = build(recipe, data=tmp_path / "data", out=tmp_path / "out")
    asked = {row["template"] for row in result.table.to_pylist()}
    assert asked == {"p/long", None}
    assert result.summary["asked"]["unfit"] == {"p": 2}
    (row,) = (one for one in result.table.to_pylist() if one["output"] == "|||")
    assert row["messages"][-1]["content"] == row["response"] == "|||"
    assert "{{instruction}} {% raw %} ||| \u202e\x1b[31m" in row["prompt"]
