"""The rules of traces over real rows: against the twin in plain Python, and what they find by who wrote the rows."""

from pathlib import Path

import numpy as np
import pytest

from chaffinch import readers
from chaffinch.provenance.traces import trace_rules
from chaffinch.recipe.source import Source
from chaffinch.stages.traces import find
from chaffinch.store import Rows
from tests import traces_twin

pytestmark = pytest.mark.real
RULES = list(trace_rules().values())
GENERATED = {"alpaca": "alpaca/*.json*", "evol": "evol-instruct-1k/*.json*", "demo": "llama-factory-demo/*.json*"}
HUMAN = {
    "dolly": "dolly/*.json*",
    "lima": "lima/lima.json*",
    "p3": "p3-t0-50k/data_per_template/*.jsonl*",
    "ni": "natural-instructions/tasks/*.json*",
}


@pytest.fixture(scope="module")
def rows(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    sources = [Source(name=name, files=files) for name, files in {**GENERATED, **HUMAN}.items()]
    cache = tmp_path_factory.mktemp("cache")
    return Rows([shard for source in sources for shard in readers.read_source(source, real, cache)], sources)


def texts_of(row: dict, part: str) -> list[str]:
    roles = ("assistant",) if part == "response" else ("user", "system")
    if row["messages"]:
        return [turn["content"] for turn in row["messages"] if turn["role"] in roles]
    return row["references"][:1] if part == "response" else [row["instruction"], row["input"]]


def test_the_twin_finds_the_same(rows: Rows) -> None:
    found = find(rows.table, np.arange(len(rows), dtype=np.uint32), RULES).to_pylist()
    matched = {line["row"] for line in found}
    some = sorted(matched | set(range(0, len(rows), 199)))
    columns = ["instruction", "input", "references", "messages"]
    expected = []
    for at in some:
        row = rows.table.select(columns).slice(at, 1).to_pylist()[0]
        for part in ("prompt", "response"):
            for number, rule in enumerate(RULES):
                for text in texts_of(row, part) if rule.part in (part, "both") else []:
                    if places := traces_twin.spans(text, rule):
                        start, end = min(places)
                        line = {"row": at, "rule": number, "response": part == "response", "words": text[start:-end]}
                        expected.append(line)
                        break
    assert found == expected


def test_people_leave_no_traces_but_those_who_speak_as_an_assistant(rows: Rows) -> None:
    found = find(rows.table, np.arange(len(rows), dtype=np.uint32), RULES)
    counts = np.bincount(rows.source_codes(np.unique(found["row"])), minlength=len(rows.ranges))
    by_source = dict(zip(rows.ranges, counts.tolist(), strict=True))
    assert by_source["dolly"] == by_source["p3"] == by_source["ni"] == 0
    # LIMA's authors wrote a few answers in an assistant's voice: "As an AI assistant, I ...".
    assert by_source["lima"] <= 10
    assert by_source["alpaca"] > 100
    assert min(by_source["evol"], by_source["demo"]) > 30
