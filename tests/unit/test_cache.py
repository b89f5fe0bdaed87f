"""What the cache keeps comes back or is made again, whatever became of its files."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chaffinch import cache
from chaffinch.decisions import Decisions
from chaffinch.errors import CacheWarning


def test_any_damage_is_found_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    table = pa.table({"row": pa.array(range(50), pa.uint32()), "text": ["words"] * 50})
    cache.save_table(path, table, {"more": 1})
    whole = path.read_bytes()
    damaged = [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(len(whole))]
    damaged += [whole[:at] for at in range(0, len(whole), 7)] + [whole + b"x", whole + whole, b"\0" * len(whole)]
    for content in damaged:
        path.write_bytes(content)
        with cache.damage_reported() as reported:
            assert cache.load_table(path) is None
        assert reported == [f"{path} is damaged: what it held is made again"]
        assert not path.exists()
    path.write_bytes(whole)
    with cache.damage_reported() as reported:
        found = cache.load_table(path)
    assert found is not None
    assert (found[0].equals(table), found[1], reported) == (True, {"more": 1}, [])


def test_what_is_not_there_is_not_damaged(tmp_path: Path) -> None:
    assert cache.load_table(tmp_path / "x.arrow") is None
    assert cache.read_json(tmp_path / "x.json") is None
    cache.write_json(tmp_path / "x.json", {"a": [1]})
    assert cache.read_json(tmp_path / "x.json") == {"a": [1]}
    (tmp_path / "x.json").write_text('{"a": [2]}')
    with pytest.warns(CacheWarning, match=r"x\.json is damaged"):
        assert cache.read_json(tmp_path / "x.json") is None


@pytest.mark.parametrize("name", ["findings", "columns"])
def test_decisions_without_a_table_of_theirs_are_taken_again(tmp_path: Path, name: str) -> None:
    rows = np.arange(50, dtype=np.uint32)
    label = pa.array(["exact_match", None] * 25).dictionary_encode()
    table = pa.table({"row": pa.array(rows), "text": ["words"] * 50, "label": label})
    path = tmp_path / "x.arrow"
    cache.save(path, Decisions(rows, np.zeros(50, np.uint16), ["a"], **{name: table}))
    found = cache.load(path)
    assert found is not None
    assert getattr(found, name).equals(table)
    assert [found.findings, found.columns].count(None) == 1
    beside = tmp_path / f"x.{name}.arrow"
    beside.write_bytes(beside.read_bytes()[:-9])
    with pytest.warns(CacheWarning, match=f"x.{name}.arrow is damaged"):
        assert cache.load(path) is None


def test_what_was_used_last_is_kept(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.arrow" for number in range(6)]
    for age, path in enumerate(paths):
        cache.save_table(path, pa.table({"row": [age]}))
        os.utime(path, (1_000 - age, 1_000 - age))
    assert cache.load_table(paths[5]) is not None
    # A cache may be a folder in which a user has tables, too.
    own = tmp_path / "own.arrow"
    with pa.ipc.new_file(own, pa.schema([("a", pa.int64())])):
        pass
    os.utime(own, (1, 1))
    cache.prune(tmp_path, keep=3)
    assert sorted(tmp_path.iterdir()) == [paths[0], paths[1], paths[5], own]
