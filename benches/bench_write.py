"""Rows by number out of a store of many shards: gathered, and written as JSON lines."""

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from common import header, report, timed

from chaffinch import _core

SHARDS = 1600
TEXT = pa.string_view()


def store(folder: Path, rows: int) -> pa.Table:
    """Shards as mapped files; a task's definition is in all its rows."""
    generator = np.random.default_rng(7)
    words = ["".join(chr(97 + letter) for letter in generator.integers(0, 26, 6)) for _ in range(5000)]
    tables = []
    for shard in range(SHARDS):
        count = rows // SHARDS
        definition = " ".join(generator.choice(words, 60))
        inputs = [" ".join(generator.choice(words, 70)) for _ in range(count)]
        answers = [[" ".join(generator.choice(words, 20))] for _ in range(count)]
        table = pa.table(
            {
                "source": pa.array(["natural-instructions"] * count, TEXT),
                "task": pa.array([f"task{shard:04d}_made_for_the_bench"] * count, TEXT),
                "instruction": pa.array([definition] * count, TEXT),
                "input": pa.array(inputs, TEXT),
                "references": pa.array(answers, pa.list_(TEXT)),
                "row_hash": pa.array([generator.bytes(16) for _ in range(count)], pa.binary(16)),
            }
        )
        path = str(folder / f"{shard}.arrow")
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        tables.append(pa.ipc.open_file(pa.memory_map(path)).read_all())
    return pa.concat_tables(tables)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=400_000)
    total = arguments.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        table = store(Path(folder), total)
        rows = pa.array(np.random.default_rng(1).permutation(len(table))[: len(table) // 2].astype(np.uint32))
        path = Path(folder) / "out.jsonl"

        def write(threads: int | None) -> int:
            path.unlink(missing_ok=True)
            size = 0
            for start in range(0, len(rows), 65_536):
                part = _core.gather(table, rows.slice(start, 65_536), threads=threads)
                size += _core.write_jsonl(part, str(path), threads=threads)
            return size

        header("write", ["polars", "pyarrow"], rows=len(rows), shards=SHARDS, threads=os.cpu_count())
        size = write(None)
        with path.open(encoding="utf-8") as lines:
            read = [json.loads(line) for _, line in zip(range(1000), lines, strict=False)]
        first = pa.table(_core.gather(table, rows.slice(0, 1000))).to_pylist()
        assert read == [{**one, "row_hash": one["row_hash"].hex()} for one in first], "lines read back equal"
        frame = pl.from_arrow(table)

        def with_polars() -> None:
            frame[np.asarray(rows)].drop("row_hash").write_ndjson(Path(folder) / "peer.jsonl")

        times = {
            "gather and JSON lines": timed(lambda: write(None))[0],
            "gather and JSON lines, one thread": timed(lambda: write(1))[0],
            "  gather alone, one thread": timed(lambda: _core.gather(table, rows, threads=1))[0],
            "polars take and write_ndjson": timed(with_polars)[0],
        }
        report(times, "gather and JSON lines")
        for name in ("gather and JSON lines", "gather and JSON lines, one thread"):
            speed = size / times[name] / 1e6
            verdict = "" if "one" not in name else f"   aim 200 MB/s a core: {'met' if speed >= 200 else 'MISSED'}"
            print(f"  {name:<38} {speed:8.0f} MB/s of {size / 1e6:.0f} MB{verdict}")


if __name__ == "__main__":
    main()
