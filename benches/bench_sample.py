"""Stratified sampling of 5 M rows in 500 strata against pandas, polars and datasets on the same quotas."""

import argparse
import os

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from common import header, report, timed
from datasets import Dataset, concatenate_datasets

from chaffinch import _core
from chaffinch.stages.sample import sample

STRATA = 500


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=5_000_000)
    total = arguments.parse_args().rows
    generator = np.random.default_rng(7)
    code = generator.zipf(1.3, total * 2)
    code = (code[code < 1e6] % STRATA)[:total].astype(np.int32)
    code = np.concatenate([code, generator.integers(0, STRATA, total - len(code), np.int32)])
    labels = pa.array([f"natural-instructions/task{at:04d}_answer_generation" for at in range(STRATA)])
    strata = pa.chunked_array([labels.take(pa.array(code))])
    keys = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), total, [None, pa.py_buffer(generator.bytes(16 * total))])
    counts = np.bincount(code, minlength=STRATA)
    quotas = {label: int(min(count, 1 + count // 10)) for label, count in zip(labels.to_pylist(), counts, strict=True)}
    quotas = {label: quota for label, quota in quotas.items() if quota > 0}
    header(
        "sample",
        ["pandas", "polars", "datasets"],
        rows=total,
        strata=STRATA,
        drawn=sum(quotas.values()),
        threads=os.cpu_count(),
    )
    frame = pd.DataFrame({"stratum": strata.to_pandas().astype("category"), "row": np.arange(total)})
    lazy = pl.DataFrame({"stratum": pl.from_arrow(strata), "row": np.arange(total, dtype=np.uint32)})
    quota_table = pl.DataFrame({"stratum": list(quotas), "quota": list(quotas.values())})
    data = Dataset(pa.table({"stratum": strata, "row": pa.array(np.arange(total, dtype=np.uint32))}))

    def with_pandas() -> pd.DataFrame:
        groups = frame.groupby("stratum", observed=True, sort=False)
        return pd.concat([group.sample(n=quotas[name], random_state=1) for name, group in groups])

    def with_pandas_fraction() -> pd.DataFrame:
        return frame.groupby("stratum", observed=True).sample(frac=0.1, random_state=1)

    def with_polars() -> pl.DataFrame:
        ranked = lazy.lazy().with_columns(place=pl.int_range(pl.len()).shuffle(seed=1).over("stratum"))
        return ranked.join(quota_table.lazy(), on="stratum").filter(pl.col("place") < pl.col("quota")).collect()

    def with_datasets() -> Dataset:
        parts = []
        order = np.argsort(code, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(counts)])
        for at, label in enumerate(labels.to_pylist()):
            if label in quotas:
                part = data.select(order[bounds[at] : bounds[at + 1]])
                parts.append(part.shuffle(seed=1).select(range(quotas[label])))
        return concatenate_datasets(parts)

    def check(name: str, drawn: list[str], rows: np.ndarray) -> None:
        taken = dict(zip(*np.unique(np.asarray(drawn, dtype=object).astype(str), return_counts=True), strict=True))
        assert {label: int(taken.get(label, 0)) for label in quotas} == quotas, f"{name}: quotas are exact"
        assert len(np.unique(rows)) == len(rows), f"{name}: no row twice"

    times = {}
    times["chaffinch sample"], drawn = timed(lambda: sample(strata, quotas, seed=1, keys=keys))
    check("chaffinch", drawn["stratum"].to_pylist(), drawn["row"].to_numpy())
    codes = pa.array(code.astype(np.uint32))
    wanted = pa.array(np.array([quotas.get(label, 0) for label in labels.to_pylist()], np.uint64))
    times["  its selection alone"], _ = timed(
        lambda: _core.select(codes, wanted, seed=1, keys=pa.chunked_array([keys]))
    )
    times["pandas groupby.sample, quota each"], drawn = timed(with_pandas, 1)
    check("pandas", drawn["stratum"].tolist(), drawn["row"].to_numpy())
    times["pandas groupby.sample(frac)"], _ = timed(with_pandas_fraction, 1)
    times["polars shuffle over, filter"], drawn = timed(with_polars)
    check("polars", drawn["stratum"].to_list(), drawn["row"].to_numpy())
    times["datasets select, shuffle, concatenate"], drawn = timed(with_datasets, 1)
    picked = drawn.with_format("arrow")[:]
    check("datasets", picked["stratum"].to_pylist(), picked["row"].to_numpy())
    bars = {
        "pandas groupby.sample, quota each": 10.0,
        "pandas groupby.sample(frac)": 10.0,
        "polars shuffle over, filter": 2.0,
        "datasets select, shuffle, concatenate": 50.0,
    }
    report(times, "chaffinch sample", bars)


if __name__ == "__main__":
    main()
