"""The registry against the table that it was made from."""

import json
from pathlib import Path

import pytest

from chaffinch.provenance import registry

TABLE = Path(__file__).parents[3] / "shared/data/provenance/table7.json"
pytestmark = [pytest.mark.real, pytest.mark.skipif(not TABLE.is_file(), reason="no ../shared/data")]

ORIGINS = {"human": "human", "llm": "model", None: "unknown"}


@pytest.fixture(scope="module")
def table():
    return json.loads(TABLE.read_text())["table7"]


def test_every_row_is_as_the_survey_has_it(table):
    ours = registry().table7
    assert [entry.name for entry in ours] == [row["name"] for row in table]
    for entry, row in zip(ours, table, strict=True):
        assert entry.prompt_origin == ORIGINS[row["prompt_origin"]]
        assert entry.response_origin == ORIGINS[row["response_origin"]]
        assert entry.generators == row["generator_models"]
        assert (entry.construction or "-") == row["construction_raw"]
        assert (entry.languages or "-") == row["languages_raw"]
        for key in ("instances", "open_source", "url", "citation", "note"):
            assert getattr(entry, key) == row[key]


def test_counts_by_origin(table):
    responses = [entry.response_origin for entry in registry().table7]
    assert responses.count("model") == sum(bool(row["contains_llm_output"]) for row in table) - 1  # backtranslation
    assert responses.count("unknown") == sum(row["contains_llm_output"] is None for row in table) == 1  # COIG
