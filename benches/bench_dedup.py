"""Exact duplicates of 5 M rows of about 500 bytes against polars' `unique` on the same key.

The `case` form has polars' nearest expression beside it: lower case, runs of white space as one space (the texts are
ASCII, so Unicode's compositions, which ours minds, make no difference). `unique` names no witness; ours always does.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from common import DATA, alternating, header, peak_memory, report

from chaffinch.stages.dedup import exact_duplicates

WORDS = 62


def texts(number: np.ndarray) -> pa.Array:
    """About 500 letters and spaces that depend on the number alone."""
    mixed = number.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15) + np.arange(WORDS, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    letters = mixed.view(np.uint8).reshape(len(number), WORDS * 8) % 27
    letters = np.where(letters == 26, 32, letters + 97).astype(np.uint8)
    ends = np.arange(len(number) + 1, dtype=np.int64) * (WORDS * 8)
    return pa.LargeStringArray.from_buffers(len(number), pa.py_buffer(ends), pa.py_buffer(letters))


def file_of(rows: int) -> Path:
    return DATA / f"dedup-{rows}.arrow"


def make(rows: int) -> None:
    """One row in five repeats another, mostly far away."""
    DATA.mkdir(exist_ok=True)
    generator = np.random.default_rng(7)
    schema = pa.schema([("text", pa.large_string())])
    with pa.OSFile(str(file_of(rows)), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, rows, 65_536):
            number = np.arange(start, min(start + 65_536, rows))
            repeats = generator.random(len(number)) < 0.2
            number = np.where(repeats, generator.integers(0, rows, len(number)), number)
            writer.write_batch(pa.record_batch([texts(number)], schema=schema))


def prepare(rows: int) -> pa.Table:
    """The texts, mapped, every page touched."""
    table = pa.ipc.open_file(pa.memory_map(str(file_of(rows)))).read_all()
    for chunk in table["text"].chunks:
        np.frombuffer(chunk.buffers()[2], np.uint8)[::4096].sum()
    return table


def ours(table: pa.Table) -> pa.Table:
    return exact_duplicates(table["text"])


def ours_whitespace(table: pa.Table) -> pa.Table:
    return exact_duplicates(table["text"], normal_form="whitespace")


def ours_case(table: pa.Table) -> pa.Table:
    return exact_duplicates(table["text"], normal_form="case")


def polars_unique(table: pa.Table) -> pl.DataFrame:
    return pl.from_arrow(table).unique(subset=["text"], keep="first", maintain_order=False)


def polars_unique_ordered(table: pa.Table) -> pl.DataFrame:
    return pl.from_arrow(table).unique(subset=["text"], keep="first", maintain_order=True)


def polars_unique_case(table: pa.Table) -> pl.DataFrame:
    normal = pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars(" ")
    return pl.from_arrow(table).lazy().select(normal).unique(keep="first", maintain_order=False).collect()


def check(table: pa.Table, kept: int) -> None:
    """Both keep the same rows: the first of each text; every witness is kept and says the same."""
    found = ours(table)
    row, witness = found["row"].to_numpy(), found["witness"].to_numpy()
    stays = np.ones(table.num_rows, bool)
    stays[row] = False
    frame = pl.from_arrow(table)
    theirs = frame.with_row_index().unique(subset=["text"], keep="first", maintain_order=False)["index"]
    assert np.array_equal(np.flatnonzero(stays), np.sort(theirs.to_numpy())), "both keep the same rows"
    assert stays[witness].all(), "witnesses are kept"
    some = slice(0, 200_000)
    assert frame["text"].gather(row[some]).equals(frame["text"].gather(witness[some])), "witnesses say the same"
    assert kept == int(stays.sum()), "the texts are made so that the normal forms make no more of them equal"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=5_000_000)
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    rows = options.rows
    if not file_of(rows).exists():
        make(rows)
    table = prepare(rows)
    header("dedup", ["polars"], rows=rows, bytes=table.nbytes, threads=os.cpu_count(), repeats=options.repeats)
    check(table, kept=rows - ours_case(table).num_rows)
    assert rows - ours_case(table).num_rows == polars_unique_case(table).height, "case: both keep as many rows"
    times = alternating(
        {
            "chaffinch exact_duplicates, none": lambda: ours(table),
            "polars unique": lambda: polars_unique(table).height,
            "polars unique, order kept": lambda: polars_unique_ordered(table).height,
            "chaffinch exact_duplicates, whitespace": lambda: ours_whitespace(table),
            "chaffinch exact_duplicates, case": lambda: ours_case(table),
            "polars unique, case": lambda: polars_unique_case(table).height,
        },
        options.repeats,
    )
    bars = {"polars unique": 1.0, "polars unique, order kept": 1.0}
    plain = ["chaffinch exact_duplicates, none", *bars, "chaffinch exact_duplicates, whitespace"]
    report({name: times[name] for name in plain}, plain[0], bars)
    case = ["chaffinch exact_duplicates, case", "polars unique, case"]
    report({name: times[name] for name in case}, case[0], {case[1]: 1.0})
    for name in ("ours", "polars_unique", "polars_unique_ordered"):
        peak = peak_memory("bench_dedup", name, rows)
        print(f"  peak anonymous memory, {name:<21} {peak / 2**20:8.0f} MiB {peak / rows:8.1f} bytes a row")


if __name__ == "__main__":
    main()
