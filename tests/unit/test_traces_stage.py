"""What a recipe makes of traces: stage, ledger, mixture, manifest, report, `why`, and the listing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli import app
from chaffinch.errors import RecipeError
from chaffinch.provenance.traces import trace_rules
from chaffinch.recipe.provenance import Provenance
from chaffinch.stages.traces import Found, find
from tests.conftest import write_jsonl
from tests.rows import store

PLAIN = {"instruction": "Name a bird.", "input": "", "output": "A chaffinch."}
AI = {"instruction": "Do you sing?", "input": "", "output": "No. As an AI, I don\u2019t sing."}
ECHO = {"instruction": "Add 1 and 1.", "input": "", "output": "Output: 2"}
MARK = {"instruction": "Name a tree.", "input": "<noinput>", "output": "An oak."}
BOTH = {"instruction": "Name a tree.", "input": "<noinput>", "output": "Output: as an AI, I name an oak."}
ABOUT = {"instruction": "What is ChatGPT?", "input": "", "output": "A language model made by OpenAI."}
TALK = {
    "messages": [
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "I am ChatGPT."},
        {"role": "user", "content": "Well then."},
        {"role": "assistant", "content": "Good bye."},
    ]
}
ROWS = [PLAIN, AI, ECHO, MARK, BOTH, ABOUT, TALK]
HUMAN = {"prompt_origin": "human", "response_origin": "human"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "data" / "a.jsonl", ROWS[:-1])
    write_jsonl(tmp_path / "data" / "talk.jsonl", ROWS[-1:])
    return tmp_path / "data"


def build(data: Path, out: str = "out", origins: dict[str, str] | None = None, **provenance: Any) -> cf.Result:
    recipe = {
        "name": "traced",
        "sources": [
            {"name": "a", "files": "a.jsonl", **(HUMAN if origins is None else origins)},
            {"name": "talk", "files": "talk.jsonl", **HUMAN},
        ],
        "provenance": provenance,
    }
    return cf.build(recipe, data=data, out=data.parent / out)


def removed(result: cf.Result) -> dict[str, tuple[str, str | None]]:
    """Source -> by evidence: reason. Rows of one source are told apart by what removed them."""
    ledger = result.ledger.to_pylist()
    assert {line["stage"] for line in ledger} <= {"provenance"}
    return sorted((line["reason"], line["evidence"]) for line in ledger)


def stage(result: cf.Result) -> dict[str, Any]:
    return next(one for one in result.summary["stages"] if one["stage"] == "provenance")


def test_remove(data: Path) -> None:
    result = build(data, traces={"all": "remove"})
    assert removed(result) == [
        ("trace as-an-ai in the response", "As an AI, I"),
        ("trace named-assistant in the response", "I am ChatGPT"),
        ("trace no-input-mark in the prompt", "<noinput>"),
        ("trace no-input-mark in the prompt", "<noinput>"),
        ("trace output-echo in the response", "Output:"),
    ]
    assert sorted(result.table["instruction"].to_pylist()) == sorted([PLAIN["instruction"], ABOUT["instruction"]])
    assert result.table["traces"].null_count == 2
    assert stage(result)["notes"] == {}


def test_flag(data: Path) -> None:
    result = build(data, traces={"all": "flag"})
    assert removed(result) == []
    assert stage(result)["notes"] == {
        "kept with trace as-an-ai": 2,
        "kept with trace named-assistant": 1,
        "kept with trace no-input-mark": 2,
        "kept with trace output-echo": 2,
    }
    traces = dict(zip(result.table["output"].to_pylist(), result.table["traces"].to_pylist(), strict=True))
    assert traces[BOTH["output"]] == "as-an-ai,no-input-mark,output-echo"
    assert traces[PLAIN["output"]] is traces[ABOUT["output"]] is None
    assert set(result.table["response_origin"].to_pylist()) == {"human"}
    assert "kept with trace as-an-ai: 2" in result.report.read_text()


def test_origin_speaks_before_deny(data: Path) -> None:
    result = build(data, deny=["response"], unknown="deny", traces={"all": "origin"})
    assert removed(result) == [
        ("response by a model: trace as-an-ai", "As an AI, I"),
        ("response by a model: trace as-an-ai", "as an AI, I"),
        ("response by a model: trace named-assistant", "I am ChatGPT"),
        ("response by a model: trace output-echo", "Output:"),
    ]
    origins = dict(zip(result.table["input"].to_pylist(), result.table["prompt_origin"].to_pylist(), strict=True))
    assert origins == {"": "human", "<noinput>": "model"}
    assert stage(result)["notes"]["origin told by trace no-input-mark"] == 2


def test_origin_without_deny_marks_the_mixture(data: Path) -> None:
    table = build(data, traces={"self-identification": "origin"}).table
    assert table.num_rows == len(ROWS)
    assert table["response_origin"].to_pylist().count("model") == 2


def test_what_is_known_by_itself_needs_no_trace(data: Path) -> None:
    model = {"prompt_origin": "human", "response_origin": "model"}
    result = build(data, origins=model, deny=["response"], traces={"all": "origin"})
    assert removed(result) == [
        *[("response by a model", None)] * 6,
        ("response by a model: trace named-assistant", "I am ChatGPT"),
    ]


def test_a_rule_goes_before_its_family_and_that_before_all(data: Path) -> None:
    traces = {"all": "remove", "echo": "flag", "as-an-ai": "ignore", "template-residue": "ignore"}
    result = build(data, traces=traces)
    assert removed(result) == [("trace named-assistant in the response", "I am ChatGPT")]
    assert stage(result)["notes"] == {"kept with trace output-echo": 2}
    actions = Provenance(traces={"as-an-ai": "ignore", "all": "flag"}).actions()
    assert set(trace_rules()) - set(actions) == {"as-an-ai"}


def test_excepted_sources_keep_their_traces(data: Path) -> None:
    result = build(data, traces={"all": "remove"}, **{"except": "talk"})
    assert ("trace named-assistant in the response", "I am ChatGPT") not in removed(result)
    assert "named-assistant" in result.table["traces"].to_pylist()


def test_off_unless_asked(data: Path) -> None:
    result = build(data, deny=["response"])
    assert removed(result) == []
    assert result.table["traces"].null_count == len(ROWS)
    assert stage(result)["notes"] == {"kept with a response of unknown origin": 0}


def test_a_rebuild_finds_what_it_found(data: Path) -> None:
    first = build(data, deny=["response"], traces={"echo": "origin", "all": "flag"})
    before = [(line["row_id"], line["traces"], line["response_origin"]) for line in first.table.to_pylist()]
    ledger = first.ledger
    again = build(data, deny=["response"], traces={"echo": "origin", "all": "flag"})
    assert stage(again)["cached"]
    assert [(line["row_id"], line["traces"], line["response_origin"]) for line in again.table.to_pylist()] == before
    assert again.ledger == ledger
    assert not stage(build(data, deny=["response"], traces={"all": "flag"}))["cached"]


def test_why_and_report_show_the_words(data: Path) -> None:
    result = build(data, traces={"as-an-ai": "remove", "all": "flag"})
    line = next(line for line in result.ledger.to_pylist() if line["evidence"] == "As an AI, I")
    story = cf.why(result.out, line["row_id"])
    assert (story.stage, story.reason, story.evidence) == (
        "provenance",
        "trace as-an-ai in the response",
        "As an AI, I",
    )
    shown = CliRunner().invoke(app, ["why", str(result.out), line["row_id"]]).stdout
    assert "evidence      As an AI, I" in shown
    assert "evidence “As an AI, I”" in result.report.read_text()
    kept = next(line["row_id"] for line in result.table.to_pylist() if line["traces"] == "output-echo")
    assert cf.why(result.out, kept).values["traces"] == "output-echo"


def test_a_ledger_of_an_older_build_has_stories_too(data: Path) -> None:
    result = build(data, traces={"all": "remove"})
    path = result.out / "ledger.parquet"
    pq.write_table(pq.read_table(path).drop_columns("evidence"), path)
    line = result.ledger.to_pylist()[0]
    assert cf.why(result.out, line["row_id"]).evidence is None


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_change_nothing(data: Path, threads: int) -> None:
    write_jsonl(data / "a.jsonl", [{**row, "number": at} for at in range(2000) for row in ROWS[:-1]])
    recipe = {
        "name": "many",
        "sources": [{"name": "a", "files": "a.jsonl", **HUMAN}],
        "provenance": {"deny": ["prompt"], "traces": {"template-residue": "origin", "all": "remove"}},
    }
    result = cf.build(recipe, data=data, out=data.parent / f"out{threads}", threads=threads)
    assert len(result.ledger) == 2000 * 4
    one = cf.build(recipe, data=data, out=data.parent / "one", threads=1)
    assert one.ledger == result.ledger


@pytest.mark.parametrize(
    ("traces", "message"),
    [
        ({"as-a-ai": "flag"}, "no rule or family of traces 'as-a-ai'\nhint: did you mean as-an-ai"),
        ({"all": "delete"}, "Input should be 'flag', 'remove', 'origin' or 'ignore'"),
        ({}, "at least 1 item in `deny` or in `traces`"),
    ],
)
def test_what_a_recipe_cannot_mean(data: Path, traces: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build(data, traces=traces)


def test_no_rows_at_all() -> None:
    actions = Provenance(traces={"all": "flag"}).actions()
    found = Found.of(find(store([]), np.empty(0, np.uint32), list(trace_rules().values())), actions)
    assert found.names()[0].size == 0


def test_rules_are_listed() -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["sources", "--traces", *arguments])

    assert len(run().stdout.splitlines()) == 2 + len(trace_rules())
    assert run("echo").stdout.count("-echo ") == 2
    one = run("as-an-ai").stdout
    assert one.startswith("id            as-an-ai\n")
    assert "\nmatches       As an AI language model, I do not have personal preferences.\n" in one
    assert [rule["id"] for rule in json.loads(run("--json").stdout)["traces"]] == list(trace_rules())
    wrong = run("as-a-ai")
    assert wrong.exit_code == 2
    assert "hint: did you mean as-an-ai" in wrong.stderr
