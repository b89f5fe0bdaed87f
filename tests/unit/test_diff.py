from pathlib import Path

import pyarrow as pa
import pytest

import chaffinch as cf
from chaffinch.difference import Change, changes
from chaffinch.errors import DataError
from tests.unit.finished import finished_build, kept_id, kept_row, removed_row


def build(out: Path, kept: range, removed: dict[int, tuple[str, str]] | None = None, kind: str = "parquet") -> Path:
    rows = [kept_row(kept_id(number, "a" if number % 2 else "b")) for number in kept]
    gone = [removed_row(kept_id(number, "a" if number % 2 else "b"), *why) for number, why in (removed or {}).items()]
    return finished_build(out, rows, gone, kind=kind)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "datasets"])
def test_rows_are_gained_and_lost_with_the_other_builds_reasons(tmp_path: Path, kind: str) -> None:
    first = build(tmp_path / "first", range(10), {10: ("sample", "over the quota")}, kind)
    second = build(
        tmp_path / "second", range(4, 13), {0: ("dedup", "copy"), 1: ("dedup", "copy"), 2: ("clean", "short")}
    )
    difference = cf.diff(first, second)
    assert difference.common == 6
    gained = {(row["row_id"], row["source"], row["stage"], row["reason"]) for row in difference.gained.to_pylist()}
    assert gained == {
        (kept_id(10, "b"), "b", "sample", "over the quota"),
        (kept_id(11), "a", None, None),
        (kept_id(12, "b"), "b", None, None),
    }
    lost = {row["row_id"]: (row["stage"], row["reason"]) for row in difference.lost.to_pylist()}
    assert lost == {
        kept_id(0, "b"): ("dedup", "copy"),
        kept_id(1): ("dedup", "copy"),
        kept_id(2, "b"): ("clean", "short"),
        kept_id(3): (None, None),
    }
    assert difference.to_dict()["lost"] == {
        "rows": 4,
        "sources": {"b": 2, "a": 2},
        "reasons": [
            {"stage": "dedup", "reason": "copy", "rows": 2, "examples": [kept_id(0, "b"), kept_id(1)]},
            {"stage": "clean", "reason": "short", "rows": 1, "examples": [kept_id(2, "b")]},
            {"stage": None, "reason": None, "rows": 1, "examples": [kept_id(3)]},
        ],
    }


def test_a_build_differs_from_itself_in_nothing(tmp_path: Path) -> None:
    out = build(tmp_path / "out", range(5), {7: ("dedup", "copy")})
    nothing = {"rows": 0, "sources": {}, "reasons": []}
    assert cf.diff(out, out).to_dict() == {"common": 5, "gained": nothing, "lost": nothing, "recipe": []}


def test_the_tables_have_the_same_columns_when_empty(tmp_path: Path) -> None:
    full, empty = build(tmp_path / "full", range(5)), build(tmp_path / "empty", range(0))
    schema = pa.schema([(name, pa.string()) for name in ("row_id", "source", "stage", "reason")])
    difference = cf.diff(full, empty)
    assert difference.gained.schema == difference.lost.schema == schema
    assert (len(difference.gained), len(difference.lost)) == (0, 5)


def test_a_missing_ledger_gives_no_reasons(tmp_path: Path) -> None:
    first, second = build(tmp_path / "first", range(5)), build(tmp_path / "second", range(4))
    (second / "ledger.parquet").unlink()
    assert cf.diff(first, second).lost.to_pylist() == [
        {"row_id": kept_id(4, "b"), "source": "b", "stage": None, "reason": None}
    ]


def test_recipe_keys_are_dotted_and_named_items_go_by_name() -> None:
    before = {
        "seed": 1,
        "sources": [{"name": "lima", "optional": False}, {"name": "p3", "files": ["a", "b"]}],
        "clean": [{"min_words": 1}],
        "mode": None,
        "bucket": {"missing": "remove", "edges": [0, 1]},
    }
    after = {
        "seed": 1,
        "sources": [{"name": "p3", "files": ["a"]}, {"name": "lima", "optional": True}, {"name": "quac", "task": None}],
        "clean": [{"min_words": 2}, {"max_words": 9}],
        "extra": {},
    }
    assert changes(before, after) == [
        Change("bucket", {"missing": "remove", "edges": [0, 1]}, None),
        Change("clean.0.min_words", 1, 2),
        Change("clean.1", None, {"max_words": 9}),
        Change("extra", None, {}),
        Change("sources.lima.optional", False, True),
        Change("sources.p3.files", ["a", "b"], ["a"]),
        Change("sources.quac", None, {"name": "quac", "task": None}),
    ]


def test_true_and_one_are_not_the_same_value() -> None:
    assert changes({"weight": 1}, {"weight": True}) == [Change("weight", 1, True)]
    assert changes({"weight": 1}, {"weight": 1.0}) == [Change("weight", 1, 1.0)]


def test_a_folder_without_a_build_is_named(tmp_path: Path) -> None:
    out = build(tmp_path / "out", range(3))
    with pytest.raises(DataError, match="nowhere holds no finished build"):
        cf.diff(out, tmp_path / "nowhere")
