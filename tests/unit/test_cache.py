"""What the cache keeps comes back or is made again, whatever became of its files."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chaffinch import cache
from chaffinch.decisions import Decisions


def test_a_damaged_table_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    table = pa.table({"row": pa.array(range(50), pa.uint32()), "text": ["words"] * 50})
    cache.save_table(path, table, {"more": 1})
    whole, lost = path.read_bytes(), 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        lost += cache.load_table(path) is None
    assert 100 < lost < len(whole)
    path.write_bytes(whole)
    found = cache.load_table(path)
    assert found is not None
    assert (found[0].equals(table), found[1]) == (True, {"more": 1})


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
    assert cache.load(path) is None


def test_what_was_used_last_is_kept(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.arrow" for number in range(6)]
    for age, path in enumerate(paths):
        cache.save_table(path, pa.table({"row": [age]}))
        os.utime(path, (1_000 - age, 1_000 - age))
    assert cache.load_table(paths[5]) is not None
    cache.prune(tmp_path, keep=3)
    assert sorted(tmp_path.iterdir()) == [paths[0], paths[1], paths[5]]
