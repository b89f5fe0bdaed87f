"""Stratified sampling of 5 M rows in 500 strata against pandas, polars and datasets on the same quotas.

Every peer gets its natural fast forms: pandas and polars the labels as text and as their categorical types, and we the
very same column. `datasets` gets what its users make: one Dataset per stratum, made before the clock starts, then
`shuffle`, `select`, and `concatenate_datasets`. All of them draw by row number; we also draw by content hash, which
makes the draw independent of the order of rows and which none of them does.
"""

import argparse
import os

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from common import alternating, header, report
from datasets import Dataset, concatenate_datasets, disable_progress_bars

from chaffinch.stages.sample import sample

STRATA = 500


def pandas_quotas(frame: pd.DataFrame, quotas: dict[str, int]) -> pd.DataFrame:
    groups = frame.groupby("stratum", observed=True, sort=False)
    return pd.concat([group.sample(n=quotas[name], random_state=1) for name, group in groups])


def pandas_fraction(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby("stratum", observed=True, sort=False).sample(frac=0.1, random_state=1)


def polars_over(frame: pl.DataFrame, quotas: pl.DataFrame) -> pl.DataFrame:
    ranked = frame.lazy().with_columns(place=pl.int_range(pl.len()).shuffle(seed=1).over("stratum"))
    return ranked.join(quotas.lazy(), on="stratum").filter(pl.col("place") < pl.col("quota")).collect()


def concatenated(parts: dict[str, Dataset], quotas: dict[str, int]) -> Dataset:
    return concatenate_datasets([part.shuffle(seed=1).select(range(quotas[name])) for name, part in parts.items()])


def check(name: str, quotas: dict[str, int], drawn: pa.Array, rows: np.ndarray, labels: pa.ChunkedArray) -> None:
    taken = {entry["values"]: entry["counts"] for entry in drawn.value_counts().to_pylist()}
    assert taken == quotas, f"{name}: quotas are exact"
    assert len(np.unique(rows)) == len(rows), f"{name}: no row twice"
    assert labels.take(pa.array(rows)).equals(pa.chunked_array([drawn])), f"{name}: rows have their labels"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=5_000_000)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    total = options.rows
    disable_progress_bars()
    generator = np.random.default_rng(7)
    code = generator.zipf(1.3, total * 2)
    code = (code[code < 1e6] % STRATA)[:total].astype(np.int32)
    code = np.concatenate([code, generator.integers(0, STRATA, total - len(code), np.int32)])
    names = [f"natural-instructions/task{at:04d}_answer_generation" for at in range(STRATA)]
    strata = pa.chunked_array([pa.array(names, pa.large_string()).take(pa.array(code))])
    keys = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), total, [None, pa.py_buffer(generator.bytes(16 * total))])
    counts = np.bincount(code, minlength=STRATA)
    quotas = {name: int(min(count, 1 + count // 10)) for name, count in zip(names, counts, strict=True) if count > 0}
    header(
        "sample",
        ["pandas", "polars", "datasets"],
        rows=total,
        strata=STRATA,
        drawn=sum(quotas.values()),
        threads=os.cpu_count(),
        repeats=options.repeats,
    )
    row = np.arange(total, dtype=np.uint32)
    pandas_text = pd.DataFrame({"stratum": strata.to_pandas(), "row": row})
    pandas_category = pandas_text.astype({"stratum": "category"})
    polars_text = pl.DataFrame({"stratum": pl.from_arrow(strata), "row": row})
    polars_categorical = polars_text.with_columns(pl.col("stratum").cast(pl.Categorical))
    polars_enum = polars_text.with_columns(pl.col("stratum").cast(pl.Enum(names)))
    quota_table = pl.DataFrame({"stratum": list(quotas), "quota": list(quotas.values())})
    quota_categorical = quota_table.with_columns(pl.col("stratum").cast(pl.Categorical))
    quota_enum = quota_table.with_columns(pl.col("stratum").cast(pl.Enum(names)))
    order = np.argsort(code, kind="stable")
    in_strata = pa.table({"stratum": strata.take(pa.array(order)), "row": pa.array(row[order])})
    ends = np.cumsum(counts)
    parts = {
        name: Dataset(in_strata.slice(ends[at] - counts[at], counts[at]))
        for at, name in enumerate(names)
        if counts[at] > 0
    }
    works = {
        "chaffinch, text": lambda: sample(strata, quotas, seed=1),
        "chaffinch, text, by content hash": lambda: sample(strata, quotas, seed=1, keys=keys),
        "chaffinch, pandas text": lambda: sample(pandas_text["stratum"], quotas, seed=1),
        "chaffinch, polars text": lambda: sample(polars_text["stratum"], quotas, seed=1),
        "chaffinch, pandas category": lambda: sample(pandas_category["stratum"], quotas, seed=1),
        "chaffinch, polars Categorical": lambda: sample(polars_categorical["stratum"], quotas, seed=1),
        "chaffinch, polars Enum": lambda: sample(polars_enum["stratum"], quotas, seed=1),
        "chaffinch, category, by content hash": lambda: sample(pandas_category["stratum"], quotas, seed=1, keys=keys),
        "pandas text, sample(n) each": lambda: pandas_quotas(pandas_text, quotas),
        "pandas category, sample(n) each": lambda: pandas_quotas(pandas_category, quotas),
        "pandas text, groupby.sample(frac)": lambda: pandas_fraction(pandas_text),
        "pandas category, groupby.sample(frac)": lambda: pandas_fraction(pandas_category),
        "polars text, over": lambda: polars_over(polars_text, quota_table),
        "polars Categorical, over": lambda: polars_over(polars_categorical, quota_categorical),
        "polars Enum, over": lambda: polars_over(polars_enum, quota_enum),
        "datasets, concatenate": lambda: concatenated(parts, quotas),
    }
    for name, work in works.items():
        if "(frac)" in name:
            continue  # its quotas are its own: 10 % of each stratum, rounded
        drawn = work()
        if isinstance(drawn, Dataset):
            drawn = drawn.with_format("arrow")[:]
        table = drawn if isinstance(drawn, pa.Table) else pa.table(drawn)
        label = pa.array(table["stratum"].to_pylist(), pa.large_string())
        check(name, quotas, label, table["row"].to_numpy(), strata)
        del drawn, table, label
    times = alternating(works, options.repeats)
    rivals = {
        "chaffinch, pandas text": {"pandas text, sample(n) each": 10.0, "pandas text, groupby.sample(frac)": 10.0},
        "chaffinch, pandas category": {
            "pandas category, sample(n) each": 10.0,
            "pandas category, groupby.sample(frac)": 10.0,
        },
        "chaffinch, polars text": {"polars text, over": 2.0},
        "chaffinch, polars Categorical": {"polars Categorical, over": 2.0},
        "chaffinch, polars Enum": {"polars Enum, over": 2.0},
        "chaffinch, text": {"datasets, concatenate": 50.0},
        "chaffinch, category, by content hash": {"datasets, concatenate": 50.0},
    }
    for ours, bars in rivals.items():
        report({name: times[name] for name in (ours, *bars)}, ours, bars)
    by_hash = "chaffinch, text, by content hash"
    report({by_hash: times[by_hash]}, by_hash)


if __name__ == "__main__":
    main()
