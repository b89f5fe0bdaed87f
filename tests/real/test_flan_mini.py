"""FLAN-MINI on real rows, as many as are here."""

import pyarrow.parquet as pq
import pytest

from chaffinch import build

pytestmark = pytest.mark.real

PIECES = {"sample.rows.natural-instructions": 4000, "sample.rows.p3": 3000, "sample.rows.cot": 3000}
MISSING = {"flan2021", "code-contests", "gpt4-alpaca", "sharegpt"}


@pytest.fixture(scope="module")
def built(real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flan")
    cache = folder / "cache"
    first = build("flan-mini", data=real, out=folder / "one", set=PIECES, threads=1, cache=cache)
    again = build("flan-mini", data=real, out=folder / "two", set=PIECES, threads=3, cache=cache)
    return first, again, folder


def test_threads_change_no_byte(built):
    first, again, _ = built
    assert [one["hash"] for one in first.summary["outputs"]] == [one["hash"] for one in again.summary["outputs"]]


def test_shortfalls_are_named(built):
    first, _, _ = built
    short = {warning.split(":")[0] for warning in first.summary["warnings"] if " rows asked, " in warning}
    assert short == MISSING | {"apps", "code-alpaca", "code-search-net"}
    assert {warning.split()[1] for warning in first.summary["warnings"] if warning.endswith("gave no row")} == MISSING
    assert "class conversation is 0 rows (0.00%), under its threshold of 10.0%" in first.summary["warnings"]


def test_rows_are_asked_as_their_pools_have_it(built):
    first, _, folder = built
    rows = pq.read_table(folder / "one" / "data").to_pylist()
    by_id = {row["row_id"]: row for row in rows}
    contaminated = set(pq.read_table(folder / "one" / "contamination.parquet")["row_id"].to_pylist())
    assert first.summary["asked"]["unfit"] == {}
    assert contaminated
    shown = 0
    for row in rows:
        for other in row["demonstrations"]:
            shown += 1
            assert other != row["row_id"]
            assert other not in contaminated
            assert by_id[other]["task"] == row["task"]
            assert by_id[other]["template"].split("/")[0] == row["template"].split("/")[0]
        if row["source"] == "cot" and not row["demonstrations"]:
            # The reader takes the rationale from the row's third column; every template but one gives it.
            assert row["template"].endswith("answer-alone") or len(row["response"]) > 10
        if row["source"] == "code-search-net":
            assert row["template"].startswith("code-search-net/python/")
            assert (
                row["instruction"].startswith(("Write", "Implement"))
                or row["demonstrations"]
                or "What" in row["prompt"]
            )
    assert shown > 5000


def test_each_solution_of_apps_is_a_row(built, real):
    first, _, _ = built
    assert first.summary["sources"]["apps"]["read"] > len(list((real / "apps" / "train").iterdir()))
