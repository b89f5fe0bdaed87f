"""A file that is shortened while it is read ends in an error that names it, not in the end of the process."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import chaffinch as cf
from chaffinch.readers.columnar import open_batches

SHORTENED = """
import json, os, sys, threading, time
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from chaffinch import _core
from chaffinch.errors import DataError
from chaffinch.readers import read_source
from chaffinch.recipe.source import Source

folder, name = Path(sys.argv[1]), sys.argv[2]
path = folder / name
row = {"instruction": "count " * 40, "input": "", "output": "one two three " * 20}
rows = [{**row, "n": n} for n in range(int(sys.argv[3]))]
match path.suffix:
    case ".json" if name.startswith("task"):
        instances = [{"id": str(n), "input": row["instruction"], "output": [row["output"]]} for n in range(len(rows))]
        content = json.dumps({"Definition": ["Do it."], "Instances": instances}).encode()
    case ".json":
        content = json.dumps(rows).encode()
    case ".jsonl":
        content = "".join(json.dumps(row) + "\\n" for row in rows).encode()
    case ".arrow":
        with pa.ipc.new_file(path, (table := pa.Table.from_pylist(rows)).schema) as writer:
            writer.write_table(table, max_chunksize=1000)
        content = path.read_bytes()
    case _:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000, compression="none", use_dictionary=False)
        content = path.read_bytes()

form = "natural-instructions" if name.startswith("task") else "auto"
begun = time.perf_counter()
path.write_bytes(content)
read_source(Source(name="x", files=[name], format=form), folder, folder / "cache")
taken = time.perf_counter() - begun
errors = 0
for trial in range(12):
    path.write_bytes(content)
    timer = threading.Timer(taken * trial / 12, os.truncate, [path, len(content) // 3])
    timer.start()
    try:
        _core.hash_file(path)
        read_source(Source(name="x", files=[name], format=form), folder, folder / f"cache-{trial}")
    except (DataError, OSError) as error:
        assert name in str(error), error
        errors += 1
    timer.join()
print("lived through", errors)
"""


@pytest.mark.parametrize("name", ["array.json", "task1.json", "lines.jsonl", "columns.arrow", "columns.parquet"])
def test_the_process_lives(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORTENED, str(tmp_path), name, "60000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lived through ")


def test_an_arrow_file_that_ends_too_early_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    table = pa.table({"text": ["x" * 1000] * 4000})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    batches = open_batches(path, ".arrow", (), [])
    assert batches.read_next_batch().num_rows == 100
    with path.open("r+b") as file:
        file.truncate(200_000)
    with pytest.raises((pa.ArrowInvalid, OSError)):
        batches.read_all()


def test_elements_are_found_across_the_pieces_of_a_file(tmp_path: Path) -> None:
    """Rows longer than a piece, and pieces that end in white space, in escapes and between elements."""
    text = '\\"\u00e9 '
    rows = [{"instruction": f"q{n}", "output": (text * (n % 7) + " .") * (n * 30_000 % 900_001)} for n in range(40)]
    (tmp_path / "a.json").write_text(" \n[" + "  ,\n   ".join(json.dumps(row) for row in rows) + " ]  \n")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outputs = []
    for name in ("a.json", "a.jsonl"):
        recipe = {"name": "x", "sources": [{"name": "a", "files": name}], "max_bad_fraction": 1.0}
        outputs.append(cf.build(recipe, data=tmp_path, out=tmp_path / f"out-{name}").table["output"].to_pylist())
    assert len(outputs[0]) > 20
    assert outputs[0] == outputs[1]
