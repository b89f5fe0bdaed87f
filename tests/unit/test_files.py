import gzip
import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.errors import DataError
from chaffinch.files import read_table, write_table

SUFFIXES = [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".jsonl.gz", ".json.zst", ".csv.gz", ".tsv.zst"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_comes_back(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"text": ["a b", 'say "hi", 日本', "x" * 100_000, ""], "number": ["1", "007", "1.50", "-"]})
    path = tmp_path / f"table{suffix}"
    write_table(table, path)
    assert read_table(path).to_pydict() == table.to_pydict()
    assert [left.name for left in tmp_path.iterdir()] == [path.name]
    before = path.read_bytes()
    write_table(read_table(path), path)
    assert path.read_bytes() == before, "written again, the same bytes"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.tuples(JSON, JSON, st.lists(st.text())), min_size=1, max_size=6))
def test_json_values_of_every_kind_come_back(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    rows = [dict(zip("abc", three, strict=True)) for three in values]
    folder = tmp_path_factory.mktemp("json")
    (folder / "in.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    for suffix in (".jsonl", ".json"):
        write_table(read_table(folder / "in.jsonl"), folder / f"out{suffix}")
    lines = (folder / "out.jsonl").read_text("utf-8").split("\n")[:-1]
    assert [json.dumps(json.loads(line)) for line in lines] == [json.dumps(row) for row in rows]
    assert json.dumps(json.loads((folder / "out.json").read_text("utf-8"))) == json.dumps(rows)


def test_missing_keys_are_null(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"a": 1}\r\n\r\n{"b": "x"}\n{"a": 2, "b": "y", "c": [1]}')
    assert read_table(path).to_pydict() == {"a": [1, None, 2], "b": [None, "x", "y"], "c": [None, None, [1]]}


def test_values_keep_their_spelling_through_json(tmp_path: Path) -> None:
    line = '{"when": "2020-01-01", "big": 123456789012345678901234567890, "mixed": 1, "nan": NaN}\n'
    path = tmp_path / "a.jsonl"
    path.write_text(line + '{"when": "now", "big": 1, "mixed": "1", "nan": 0.5}\n')
    table = read_table(path)
    assert table["when"].to_pylist() == ["2020-01-01", "now"]
    write_table(table.take([0]), tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_text() == line
    pq.write_table(table, tmp_path / "a.parquet")
    write_table(read_table(tmp_path / "a.parquet").slice(0, 1), tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_text() == line, "the mark survives Parquet"


def test_typed_columns_are_written_as_text(tmp_path: Path) -> None:
    table = pa.table({"day": [date(2020, 1, 2)], "list": [["a"]], "number": [1.5], "none": [None], "nan": [math.inf]})
    write_table(table, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == 'day,list,number,none,nan\n2020-01-02,"[""a""]",1.5,,inf\n'
    write_table(table.select(["day", "list"]), tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text() == '{"day": "2020-01-02", "list": ["a"]}\n'
    with pytest.raises(DataError, match=r"JSON has no bytes\nhint: write \.parquet"):
        write_table(pa.table({"a": [b"\0"]}), tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


def test_no_rows_and_no_columns(tmp_path: Path) -> None:
    for suffix, content in ((".jsonl", ""), (".json", "[]"), (".csv", "a,b\n"), (".csv", ""), (".json", "")):
        path = tmp_path / f"a{suffix}"
        path.write_text(content)
        if suffix == ".json" and not content:
            with pytest.raises(DataError, match="not JSON"):
                read_table(path)
            continue
        assert len(read_table(path)) == 0
        write_table(read_table(path), path)
        assert len(read_table(path)) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', r"a\.jsonl: line 2 is not JSON"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', r"line 2 is list, not an object"),
        ("a.json", b"3", r"holds int\nhint: it has to be an array"),
        ("a.json", b"[" * 100_000, r"is not JSON"),
        ("a.jsonl", b'{"a": "\\ud800"}', r"row 0: 'a' holds a lone surrogate\nhint"),
        ("a.jsonl", b'{"\\ud800": "a"}', r"'\\ud800' holds a lone surrogate\nhint"),
        ("a.jsonl", b'{"a": "\xff"}', r"not UTF-8\nhint"),
        ("a.csv", b"a,b\n1,2\n3\n", r"line 3 has 1 cells, the header 2\nhint"),
        ("a.csv", b"a,a\n1,2\n", r"two columns are named 'a'\nhint"),
        ("a.csv", b'a\n"1\n', r"a\.csv: line 2: unexpected end of data\nhint"),
        ("a.parquet", b"PAR1", r"a\.parquet: .*\nhint"),
        ("a.arrow", b"ARROW1", r"a\.arrow: .*\nhint"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 1000)[:30], r"a\.jsonl\.gz: .*\nhint: the file is damaged"),
        ("a.jsonl.zst", b"no zstd at all", r"a\.jsonl\.zst: .*\nhint"),
        ("a.xlsx", b"", r"\.xlsx is no format that is known\nhint: there are \.jsonl"),
        ("a.parquet.gz", b"", r"\.parquet is packed inside\nhint"),
    ],
)
def test_damaged_files_are_told(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


def test_a_cell_that_tsv_cannot_hold_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\nhint: no cell may hold a tab"):
        write_table(pa.table({"a": ["x\ty"]}), tmp_path / "a.tsv")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "absent.jsonl")
    assert not list(tmp_path.iterdir())


def test_a_lone_carriage_return_parts_no_rows(tmp_path: Path) -> None:
    table = pa.table({"text": ["a\rb", "\r", "c\r\nd", "e"], "more": ["1", "2", "3", "\r\n"]})
    write_table(table, tmp_path / "a.csv")
    assert read_table(tmp_path / "a.csv").to_pydict() == table.to_pydict()
    assert (tmp_path / "a.csv").read_bytes().endswith(b'\ne,"\r\n"\n')
    with pytest.raises(DataError, match=r"write \.csv or \.jsonl"):
        write_table(table, tmp_path / "a.tsv")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_two_columns_of_one_name_are_told(tmp_path: Path, suffix: str) -> None:
    write_table(pa.table([["a"], ["b"]], names=["c", "c"]), tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match="two columns are named 'c'\nhint: "):
        read_table(tmp_path / f"a{suffix}")


def test_string_views_are_read_as_strings(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write_table(pa.table({"n": [1, 2], "text": pa.array(["a", None], pa.string_view())}), path)
    table = read_table(path)
    assert table.schema == pa.schema([("n", pa.int64()), ("text", pa.large_string())])
    assert table.filter(pa.array([False, True])).to_pylist() == [{"n": 2, "text": None}]
