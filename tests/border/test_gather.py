import json

import numpy as np
import pyarrow as pa
import pytest

from chaffinch import _core
from tests.rows import SCHEMA, row, store, turns

HOSTILE = [
    "\u2028\u2029",
    "nul \x00 nul",
    "😀👩\u200d👩\u200d👧",
    '"\\/\b\f\n\r\t',
    "</script>",
    "\x7f\x1b[31m",
    "ﷺ" * 100,
    "",
]


def hostile_store(chunk):
    rows = [
        row(text * 3, task=f"t{at % 3}", instruction="shared by all rows of the store", input=text)
        for at, text in enumerate(HOSTILE * 9)
    ]
    rows += [row(messages=turns(("user", text), ("assistant", text * 2)), category=text) for text in HOSTILE]
    return store(rows, chunk)


def gathered(table, rows, **options):
    return pa.table(_core.gather(table, pa.array(np.asarray(rows, np.uint32)), **options))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_rows_come_out_as_they_are_in_the_order_given(chunk):
    table = hostile_store(chunk)
    rows = np.random.default_rng(0).integers(0, len(table), 300)
    answer = gathered(table, rows, threads=2)
    answer.validate(full=True)
    everything = table.to_pylist()
    assert answer.to_pylist() == [everything[at] for at in rows]
    assert answer.schema.types == SCHEMA.types


def test_no_rows():
    assert gathered(hostile_store(5), []).num_rows == 0
    assert gathered(store([]), []).num_rows == 0


def test_rows_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="rows is 80"):
        gathered(hostile_store(5), [1, 80])
    with pytest.raises(ValueError, match="rows is 0"):
        gathered(store([]), [0])
    with pytest.raises(ValueError, match="rows is Int64"):
        _core.gather(store([]), pa.array([0]))


def test_gathered_rows_carry_only_their_own_text():
    big = store([row("x" * 1_000_000), row("y" * 1_000_000)])
    answer = gathered(big, [0] * 50)
    assert answer.get_total_buffer_size() < 1_100_000, "a text that rows share lies there once"
    one = gathered(hostile_store(1000), [5])
    assert one.get_total_buffer_size() < 1000


def test_more_rows_than_a_batch():
    table = store([row(str(at)) for at in range(50)])
    rows = np.arange(30_000) % 50
    assert gathered(table, rows)["references"].to_pylist() == [[str(at)] for at in rows]


def written(tmp_path, table, **options):
    path = tmp_path / "rows.jsonl"
    size = _core.write_jsonl(table, str(path), **options)
    return size, path.read_bytes()


def plain(value):
    return value.hex() if isinstance(value, bytes) else value


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_json_lines_read_back_equal(tmp_path, threads):
    table = hostile_store(7)
    everything = table.to_pylist()
    size, lines = written(tmp_path, table, threads=threads)
    assert size == len(lines)
    read = [json.loads(line) for line in lines.decode().split("\n") if line]
    expected = [{name: plain(value) for name, value in one.items()} for one in everything]
    assert read == expected


def test_lines_are_appended(tmp_path):
    table = store([row("r")])
    first, _ = written(tmp_path, table)
    _, lines = written(tmp_path, table)
    assert len(lines) == 2 * first
    assert written(tmp_path, store([]))[0] == 0


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.rows\.jsonl"):
        _core.write_jsonl(store([]), str(tmp_path / "none" / "rows.jsonl"))


def ids(table, rows):
    copies = pa.table(_core.occurrences(table["row_hash"]))
    return pa.array(_core.row_ids(table, pa.array(np.asarray(rows, np.uint32)), copies)).to_pylist()


def test_ids_name_source_task_and_hash_and_tell_copies_apart():
    a, b = row("a"), row("b", source="é", task="x/y")
    table = store([a, b, a, row("a", task="u"), a, a], chunk=2)
    shown = [value.hex()[:16] for value in table["row_hash"].to_pylist()]
    assert ids(table, [5, 0, 1, 2, 3, 4]) == [
        f"s/t/{shown[0]}.4",
        f"s/t/{shown[0]}",
        f"é/x/y/{shown[1]}",
        f"s/t/{shown[0]}.2",
        f"s/u/{shown[3]}",
        f"s/t/{shown[0]}.3",
    ]


def test_ids_are_never_given_twice_even_when_hashes_share_their_first_half():
    table = store([row("a"), row("b")])
    hashes = pa.array([b"12345678" + b"a" * 8, b"12345678" + b"b" * 8], pa.binary(16))
    table = table.set_column(table.schema.get_field_index("row_hash"), "row_hash", hashes)
    assert len(set(ids(table, [0, 1]))) == 2


def test_occurrences_are_sparse():
    hashes = pa.chunked_array([pa.array([b"x" * 16], pa.binary(16))] * 5)
    found = pa.table(_core.occurrences(hashes))
    assert found.to_pydict() == {"row": [1, 2, 3, 4], "occurrence": [2, 3, 4, 5]}
    assert pa.table(_core.occurrences(pa.chunked_array([], pa.binary(16)))).num_rows == 0
    with pytest.raises(ValueError, match="fixed_size_binary"):
        _core.occurrences(pa.chunked_array([pa.array([b"x" * 16])]))
