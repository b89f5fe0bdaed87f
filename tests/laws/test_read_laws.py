"""Laws of reading: nothing vanishes, nothing depends on how the rows lie in files, threads or blocks."""

import gzip
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaffinch.readers import read_source
from chaffinch.recipe.source import Source

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

texts = st.text(st.characters(codec="utf-8"), max_size=30)
records = st.lists(
    st.fixed_dictionaries(
        {
            "instruction": texts,
            "input": texts,
            "output": st.one_of(texts, st.lists(texts, min_size=1, max_size=3)),
        },
        optional={
            "id": texts,
            "extra": st.one_of(texts, st.integers(), st.booleans(), st.lists(st.integers())),
        },
    ),
    max_size=8,
)


def shards_of(folder: Path, files, threads=2, **words):
    source = Source(name="s", files=files, **words)
    return read_source(source, folder, folder / "cache", threads=threads)


def rows_of(shards) -> list[dict]:
    return [row for shard in shards for row in pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all().to_pylist()]


def fresh(tmp_path: Path, content: object) -> Path:
    """A folder of its own for each example."""
    folder = tmp_path / str(abs(hash(str(content)))) / str(time.monotonic_ns())
    folder.mkdir(parents=True)
    return folder


def plain(record: dict) -> tuple:
    output = record["output"]
    references = [output] if isinstance(output, str) else list(dict.fromkeys(output))
    rest = {key: value for key, value in record.items() if key not in ("instruction", "input", "output")}
    return record["instruction"], record["input"], references, rest


def found(row: dict) -> tuple:
    return row["instruction"], row["input"], row["references"], json.loads(row["meta"] or "{}")


@relaxed
@given(records=records, escape=st.booleans(), indent=st.sampled_from([None, 2]))
def test_every_container_gives_the_same_rows(tmp_path, records, escape, indent):
    folder = fresh(tmp_path, records)
    dumped = [json.dumps(record, ensure_ascii=escape) for record in records]
    lines = "\n".join(dumped).encode()
    (folder / "a.jsonl").write_bytes(lines)
    (folder / "b.json").write_bytes(lines + b"\n")
    (folder / "c.json").write_text(json.dumps(records, ensure_ascii=escape, indent=indent), "utf-8")
    (folder / "d.jsonl.gz").write_bytes(gzip.compress(lines))
    with pa.CompressedOutputStream(folder / "e.json.zst", "zstd") as file:
        file.write(json.dumps(records).encode())
    for shard in shards_of(folder, ["a.jsonl", "b.json", "c.json", "d.jsonl.gz", "e.json.zst"]):
        assert [found(row) for row in rows_of([shard])] == [plain(record) for record in records], shard.file
        assert shard.rejected == 0


@relaxed
@given(records=records)
def test_tables_of_columns_give_the_same_rows(tmp_path, records):
    folder = fresh(tmp_path, records)
    columns = ("instruction", "input", "output")
    flat = [{**{key: record[key] for key in columns}, "output": plain(record)[2][0]} for record in records]
    table = pa.Table.from_pylist(flat, pa.schema([(name, pa.string()) for name in columns]))
    pq.write_table(table, folder / "a.parquet")
    with pa.ipc.new_file(folder / "b.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    with pa.ipc.new_stream(folder / "c.arrow", table.schema) as writer:
        writer.write_table(table)
    expected = [(row["instruction"], row["input"], [row["output"]]) for row in flat]
    for shard in shards_of(folder, ["a.parquet", "b.arrow", "c.arrow"]):
        rows = rows_of([shard])
        assert [(row["instruction"], row["input"], row["references"]) for row in rows] == expected, shard.file
        assert [row["position"] for row in rows] == list(range(len(rows)))


@relaxed
@given(cells=st.lists(st.tuples(texts, texts, texts), max_size=8), tab=st.booleans())
def test_quoted_tables_give_the_same_rows(tmp_path, cells, tab):
    folder = fresh(tmp_path, cells)
    delimiter = "\t" if tab else ","
    quoted = [delimiter.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in cells]
    content = "\n".join([delimiter.join(("instruction", "input", "output")), *quoted])
    name = "a.tsv" if tab else "a.csv"
    (folder / name).write_bytes(content.encode())
    rows = rows_of(shards_of(folder, name, quoting=True))
    assert [(row["instruction"], row["input"], row["references"]) for row in rows] == [
        (instruction, input_, [output]) for instruction, input_, output in cells
    ]


@relaxed
@given(records=records, cuts=st.lists(st.integers(0, 8), max_size=3))
def test_splitting_a_file_changes_no_row(tmp_path, records, cuts):
    folder = fresh(tmp_path, records)
    lines = [json.dumps(record) for record in records]
    (folder / "whole.jsonl").write_text("\n".join(lines))
    bounds = sorted({0, *(min(cut, len(lines)) for cut in cuts), len(lines)})
    for number, (start, end) in enumerate(pairwise(bounds)):
        (folder / f"part{number}.json").write_text(f"[{','.join(lines[start:end])}]")
    whole = rows_of(shards_of(folder, "whole.jsonl"))
    parts = rows_of(shards_of(folder, "part*.json")) if records else []
    assert Counter(row["row_hash"] for row in parts) == Counter(row["row_hash"] for row in whole)
    assert len({row["content_hash"] for row in whole}) == len({str(plain(record)[:3]) for record in records})


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.text(max_size=3)),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(texts, children, max_size=3)),
    max_leaves=5,
)
anything = st.one_of(
    values.map(json.dumps),
    st.dictionaries(st.sampled_from(["instruction", "input", "output", "x"]), values).map(json.dumps),
    st.text('[]{}",:\\u0dae1-.NnIit \r', max_size=25),
)


def verdict(line: str) -> tuple | None:
    """The row of a line by plain Python, or None for a reject."""
    try:
        record = json.loads(line, parse_float=str, parse_int=str, parse_constant=float)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or any(0xD800 <= ord(char) <= 0xDFFF for char in str(record) + deep(record)):
        return None

    def text(value: object) -> str | None:
        if isinstance(value, bool):
            return json.dumps(value)
        return None if value is None or isinstance(value, float) else value if isinstance(value, str) else None

    output = record.get("output")
    outputs = output if isinstance(output, list) else [] if output is None else [output]
    columns = [record.get("instruction"), record.get("input")]
    if any(value is not None and text(value) is None for value in columns) or columns == [None, None]:
        return None
    if not outputs or any(text(value) is None for value in outputs):
        return None
    instruction, input_ = (text(value) or "" for value in columns)
    return instruction, input_, list(dict.fromkeys(map(text, outputs)))


def deep(value: object) -> str:
    """All text in a value, which str() of it would escape."""
    if isinstance(value, dict):
        return "".join(map(deep, [*value, *value.values()]))
    return "".join(map(deep, value)) if isinstance(value, list) else str(value)


@settings(relaxed, max_examples=400)
@given(lines=st.lists(anything.filter(lambda line: "\n" not in line), max_size=6))
def test_lines_fare_as_a_plain_python_reader_says(tmp_path, lines):
    folder = fresh(tmp_path, lines)
    lines = ['{"instruction": "first", "output": "o"}', *lines, "end"]
    (folder / "a.jsonl").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    [shard] = shards_of(folder, "a.jsonl", format="instruction")
    expected = {number: verdict(line) for number, line in enumerate(lines, 1) if line.strip(" \t\r")}
    rows = {row["position"]: (row["instruction"], row["input"], row["references"]) for row in rows_of([shard])}
    assert rows == {number: row for number, row in expected.items() if row is not None}
    assert shard.rows + shard.rejected == len(expected)


def large_records() -> list[dict]:
    """More than two blocks of 16 MiB, with rows of very different sizes and bad ones among them."""
    word = "pebble é "
    rows = [
        {"id": n % 900, "instruction": "same", "input": word * (n * 37 % 8000), "output": str(n)} for n in range(1000)
    ]
    rows[::17] = [{"input": n} for n in range(len(rows[::17]))]
    return rows


@pytest.mark.parametrize("form", ["lines", "array", "natural", "packed", "array packed"])
def test_blocks_and_threads_change_nothing(tmp_path, form):
    rows = large_records()
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    content = {
        "lines": "\n".join(lines),
        "packed": "\n".join(lines),
        "natural": '{"Instances": [' + ",\n".join(lines) + '], "Definition": "d"}',
    }.get(form, f"[{', '.join(lines)}]")
    name = "a.json.gz" if "packed" in form else "a.json"
    packed = gzip.compress(content.encode(), 1) if "packed" in form else content.encode()
    assert len(content.encode()) > 33 << 20
    images = set()
    for threads in (1, 2, 8):
        folder = tmp_path / str(threads)
        folder.mkdir()
        (folder / name).write_bytes(packed)
        [shard] = shards_of(folder, name, threads)
        images.add((shard.path.read_bytes(), shard.quarantine.read_bytes(), str(shard.notes)))
    assert len(images) == 1
    assert (shard.rows + shard.rejected, shard.rejected) == (
        len(rows),
        sum("output" not in row for row in rows),
    )
    good = [row for row in rows if "output" in row]
    assert shard.notes == {"duplicate_id": len(good) - len({row["id"] for row in good})}
    found_rows = rows_of([shard])
    assert [(row["input"], row["references"]) for row in found_rows] == [
        (row["input"], [row["output"]]) for row in good
    ]
    # The batches keep to their size and hold the shared instruction once each.
    batches = pa.ipc.open_file(pa.memory_map(str(shard.path)))
    assert batches.num_record_batches > 1
    assert all(batches.get_batch(number).nbytes < 80 << 20 for number in range(batches.num_record_batches))


def test_a_shared_definition_lies_once_in_a_shard(tmp_path):
    definition = "define " * 1000
    content = {"Definition": definition, "Instances": [{"input": str(n), "output": "o"} for n in range(1000)]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    [shard] = shards_of(tmp_path, "a.json")
    assert shard.path.stat().st_size < 250_000
    assert {row["instruction"] for row in rows_of([shard])} == {definition}


SCRIPT = """
import sys
from pathlib import Path
from chaffinch.readers import read_source
from chaffinch.recipe.source import Source
read_source(Source(name="s", files="*.jsonl"), Path(sys.argv[1]), Path(sys.argv[2]), threads=2)
"""


def test_killed_at_any_moment_the_next_run_gives_the_same(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for number in range(40):
        lines = [json.dumps({"instruction": "i" * 200, "output": f"{number} {n}"}) for n in range(2000)]
        (data / f"{number}.jsonl").write_text("\n".join([*lines, "broken"]))
    quiet = read_source(Source(name="s", files="*.jsonl"), data, tmp_path / "quiet")
    cache = tmp_path / "killed"
    for attempt in range(6):
        with subprocess.Popen([sys.executable, "-c", SCRIPT, data, cache]) as process:
            time.sleep(0.25 + 0.1 * attempt)
            process.send_signal(signal.SIGKILL)
        for path in (cache / "read").glob("*.arrow"):
            pa.ipc.open_file(pa.memory_map(str(path))).read_all().validate(full=True)
    again = read_source(Source(name="s", files="*.jsonl"), data, cache)
    assert [shard.path.read_bytes() for shard in again] == [shard.path.read_bytes() for shard in quiet]
    assert [shard.notes for shard in again] == [shard.notes for shard in quiet]
    assert all(
        shard.quarantine.read_bytes() == other.quarantine.read_bytes()
        for shard, other in zip(again, quiet, strict=True)
    )


def test_two_processes_share_a_cache(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for number in range(30):
        (data / f"{number}.jsonl").write_text(json.dumps({"instruction": "i", "output": str(number)}))
    processes = [subprocess.Popen([sys.executable, "-c", SCRIPT, data, tmp_path / "cache"]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    rows = rows_of(read_source(Source(name="s", files="*.jsonl"), data, tmp_path / "cache"))
    assert sorted(int(row["references"][0]) for row in rows) == list(range(30))


def large_file(data: Path) -> Source:
    """So many lines that blocks of the file are parsed side by side."""
    data.mkdir()
    text = "the river runs past the mill and the old bridge " * 8
    with (data / "large.jsonl").open("w") as file:
        for number in range(170_000):
            bad = "{" if number % 50_000 == 7 else ""
            file.write(f'{bad}{{"instruction": "{number} {text}", "output": "é {number}"}}\n')
    assert (data / "large.jsonl").stat().st_size > 64 << 20
    return Source(name="large", files=["large.jsonl"])


def test_blocks_side_by_side_give_the_same_shard(tmp_path):
    source = large_file(tmp_path / "data")
    shards = [
        read_source(source, tmp_path / "data", tmp_path / f"cache{threads}", threads=threads)[0]
        for threads in (1, 2, 8)
    ]
    assert {(shard.rows, shard.rejected) for shard in shards} == {(169_996, 4)}
    assert len({shard.path.read_bytes() for shard in shards}) == 1
    assert len({shard.quarantine.read_bytes() for shard in shards}) == 1


def test_an_error_while_blocks_are_read_ends_all_of_them(tmp_path):
    source = large_file(tmp_path / "data")

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_source(source, tmp_path / "data", tmp_path / "cache", threads=2, progress=stop)
    assert read_source(source, tmp_path / "data", tmp_path / "cache", threads=2)[0].rows == 169_996
