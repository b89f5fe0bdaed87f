"""The validation split of whole builds, held against groups made by plain Python."""

import json
import random
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaffinch as cf
from tests.conftest import write_jsonl

WORDS = ["", " ", "one", "One ", "two", "ONE  two", "one\ttwo", "Three", "ﬁve", "five", "six", "7"]
texts = st.sampled_from(WORDS)
instructions = st.fixed_dictionaries({"instruction": texts, "input": texts, "output": st.sampled_from("abcdefgh")})
conversations = st.builds(
    lambda system, ask, answer, name, thread: {
        "messages": [*system, {"role": "user", "content": ask}, {"role": "assistant", "content": answer}],
        **({name: thread} if name else {}),
    },
    st.sampled_from([[], [{"role": "system", "content": "Be brief."}]]),
    st.sampled_from(["one", "ONE two", "eight", "nine", "ten", "eleven", "twelve"]),
    st.sampled_from("abcdefgh"),
    st.sampled_from(["", "", "conversation_id", "message_tree_id"]),
    st.sampled_from("tuvw"),
)


def recipe(fraction: float, sources: list[str], **more: Any) -> dict[str, Any]:
    named = [
        {"name": name, "files": f"{name}*.jsonl", **({"format": "conversation"} if name.startswith("talk") else {})}
        for name in sources
    ]
    return {"name": "x", "sources": named, "validation_fraction": fraction, **more}


def build(folder: Path, out: str, spec: dict[str, Any], **more: Any) -> cf.Result:
    return cf.build(spec, data=folder / "data", out=folder / out, **more)


def rows_of(result: cf.Result) -> dict[str, list[dict[str, Any]]]:
    names = dict.fromkeys(one["split"] for one in result.summary["outputs"])
    return {name: result.split(name).to_pylist() for name in names}


def normal(text: str) -> str:
    for _ in range(2):
        text = unicodedata.normalize("NFKC", text).lower()
    return " ".join(unicodedata.normalize("NFKC", text).split())


def keys(row: dict[str, Any]) -> list[Any]:
    """What a row has in common with each row of its group."""
    found: list[Any] = []
    if row["messages"] is None:
        instruction, given = normal(row["instruction"]), normal(row["input"])
        found = [("input", given), ("asked", "" if instruction and given else instruction or given)]
    else:
        first = next((turn["content"] for turn in row["messages"] if turn["role"] == "user"), "")
        found = [("asked", normal(first))]
        meta = json.loads(row["meta"] or "{}")
        found += [(row["source"], name, meta[name]) for name in ("conversation_id", "message_tree_id") if name in meta]
    return [key for key in found if key[-1]]


def groups(rows: list[dict[str, Any]], pairs: list[tuple[int, int]] = ()) -> list[set[int]]:  # type: ignore[assignment]
    """Rows that share a key, or whose other rows do."""
    left, found = {number: set(keys(row)) for number, row in enumerate(rows)}, []
    near: dict[int, set[int]] = {number: set() for number in left}
    for one, other in pairs:
        near[one].add(other)
        near[other].add(one)
    while left:
        group, have = set(), [next(iter(left))]
        while have:
            number = have.pop()
            if number in left:
                own = left.pop(number)
                group.add(number)
                have += [other for other, theirs in left.items() if own & theirs or other in near[number]]
        found.append(group)
    return found


@settings(max_examples=40)
@given(
    st.lists(instructions, min_size=1, max_size=25),
    st.lists(conversations, max_size=12),
    st.sampled_from([0.1, 0.25, 0.5, 0.9]),
    st.integers(0, 3),
)
def test_no_group_is_on_both_sides_and_no_more_could_be_held_out(
    plain: list[dict[str, Any]], talks: list[dict[str, Any]], fraction: float, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_jsonl(folder / "data/plain.jsonl", plain)
        sources = ["plain"]
        if talks:
            write_jsonl(folder / "data/talk.jsonl", talks)
            sources.append("talk")
        spec = recipe(fraction, sources, seed=seed, max_bad_fraction=1.0)
        result = build(folder, "out", spec, threads=1)
        split = rows_of(result)
        rows = split["train"] + split.get("validation", [])
        is_held = [False] * len(split["train"]) + [True] * len(split.get("validation", []))
        asked = round(fraction * len(rows))
        passed_over = []
        for group in groups(rows):
            assert len({is_held[number] for number in group}) == 1
            passed_over += [len(group)] if not is_held[min(group)] else []
        assert sum(is_held) <= asked
        # What is still wanted is less than any group that was left.
        assert asked - sum(is_held) < min(passed_over, default=len(rows) + 1) or asked == sum(is_held)
        told = result.summary["validation"]
        sizes = [len(group) for group in groups(rows)]
        assert told == (
            {
                "asked": asked,
                "rows": sum(is_held),
                "groups": sum(size > 1 for size in sizes),
                "rows_in_groups": sum(size for size in sizes if size > 1),
                "largest_group": max(sizes),
            }
            if asked
            else None
        )
        warned = [text for text in result.summary["warnings"] if "held out" in text]
        assert len(warned) == (sum(is_held) < asked)
        # Neither the order of rows and files nor the threads decide.
        write_jsonl(folder / "data/plain.jsonl", plain[1::2])
        write_jsonl(folder / "data/plain-more.jsonl", plain[::2][::-1])
        again = rows_of(build(folder, "again", spec, threads=2))
        assert {name: Counter(row["row_id"] for row in rows) for name, rows in again.items()} == {
            name: Counter(row["row_id"] for row in rows) for name, rows in split.items()
        }


def sentences(rows: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    words = [f"{a}{b}" for a in "bcdfglmnprst" for b in ("an", "el", "ip", "or", "u")]
    return [
        {"instruction": " ".join(chance.choices(words, k=15)), "output": " ".join(chance.choices(words, k=9))}
        for _ in range(rows)
    ]


def test_as_many_are_held_out_as_asked_and_another_source_changes_little(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data/a.jsonl", sentences(2_000, 1))
    write_jsonl(tmp_path / "data/b.jsonl", sentences(1_000, 2))
    alone = build(tmp_path, "alone", recipe(0.05, ["a"]))
    both = build(tmp_path, "both", recipe(0.05, ["a", "b"]))
    held, with_b = ({row["row_id"] for row in rows_of(one)["validation"]} for one in (alone, both))
    assert (len(held), len(with_b)) == (100, 150)
    of_a = {name for name in with_b if name.startswith("a/")}
    # As two samples of one order: what changes is near the border.
    assert len(held ^ of_a) < 30
    assert held <= of_a or of_a <= held
    other = build(tmp_path, "other", recipe(0.05, ["a"], seed=1))
    assert len(held & {row["row_id"] for row in rows_of(other)["validation"]}) < 30


def test_large_groups_are_held_out_as_often_as_small_ones(tmp_path: Path) -> None:
    rows = sentences(1_000, 1)
    pairs = [{**row, "output": f"{row['output']} {n}"} for row in sentences(500, 2) for n in range(2)]
    write_jsonl(tmp_path / "data/a.jsonl", [*rows, *pairs])
    held = 0
    for seed in range(10):
        result = build(tmp_path, "out", recipe(0.1, ["a"], seed=seed))
        split = rows_of(result)
        asked = Counter(row["instruction"] for row in split["validation"])
        held += sum(count for count in asked.values() if count == 2)
        assert not set(asked) & {row["instruction"] for row in split["train"]}
        assert len(split["validation"]) == 200
    # Half of the 2,000 rows are in pairs: of 10 times 200 rows 1,000 are expected; three deviations of 500 pairs drawn.
    assert 870 < held < 1_130


def test_flagged_near_duplicates_stay_together(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = []
    for row in sentences(150, 3):
        words = row["instruction"].split()
        words[chance.randrange(len(words))] += "x"
        rows += [row, {**row, "instruction": " ".join(words)}]
    write_jsonl(tmp_path / "data/a.jsonl", rows)
    near = {"on": ["prompt"], "ngram": 2, "min_similarity": 0.5, "action": "flag"}
    result = build(tmp_path, "out", recipe(0.2, ["a"], dedup={"near": near}))
    flagged = pq.read_table(tmp_path / "out/flagged.parquet").to_pylist()
    assert len(flagged) >= 100
    split = rows_of(result)
    held = {row["row_id"] for row in split["validation"]}
    assert len(held) == 60
    assert not [line for line in flagged if (line["row_id"] in held) != (line["witness"] in held)]
    # The same rows, not flagged, do come to both sides.
    plain = {row["row_id"] for row in rows_of(build(tmp_path, "plain", recipe(0.2, ["a"])))["validation"]}
    assert [line for line in flagged if (line["row_id"] in plain) != (line["witness"] in plain)]


@pytest.mark.parametrize("fraction", [0.0, 0.001])
def test_nothing_is_held_out_of_too_few_rows(tmp_path: Path, fraction: float) -> None:
    write_jsonl(tmp_path / "data/a.jsonl", sentences(10, 1))
    result = build(tmp_path, "out", recipe(fraction, ["a"]))
    assert [*rows_of(result)] == ["train"]
    assert result.summary["validation"] is None
