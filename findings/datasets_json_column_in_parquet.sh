#!/usr/bin/env bash
# `datasets` 5 keeps a column of several JSON types as the Arrow extension type `arrow.json`. Expected of its Parquet file: other readers
# see the values, or an error. Seen: pandas, polars and DuckDB read the JSON spelling as text, so that a target `Oslo` becomes `"Oslo"` with
# quotes, while `datasets` itself gives the values back, and cannot sort by the column that its own loader made.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --disable-pip-version-check -q install datasets==5.2.0 polars==2.1.0 duckdb==2.0.1 pandas==3.1.1 pyarrow==26.0.1
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version
import datasets, duckdb, pandas, polars, pyarrow as pa, pyarrow.parquet as pq

datasets.disable_progress_bars()
for name in ("datasets", "polars", "duckdb", "pandas", "pyarrow"):
    print(name, version(name))
with open("rows.jsonl", "w") as file:
    file.write('{"q": "2 + 2", "a": 4}\n{"q": "capital of Norway", "a": "Oslo"}\n')
rows = datasets.load_dataset("json", data_files="rows.jsonl", split="train")
rows.to_parquet("rows.parquet")
seen = {
    "datasets": rows["a"][:],
    "datasets, read again": datasets.load_dataset("parquet", data_files="rows.parquet", split="train")["a"][:],
    "pyarrow": pq.read_table("rows.parquet")["a"].to_pylist(),
    "pandas": pandas.read_parquet("rows.parquet")["a"].tolist(),
    "polars": polars.read_parquet("rows.parquet")["a"].to_list(),
    "duckdb": [a for (a,) in duckdb.sql("select a from 'rows.parquet'").fetchall()],
}
print("type in the file:", pq.read_schema("rows.parquet").field("a").type)
for reader, values in seen.items():
    print(f"{reader}: {values}")
    expected = [4, "Oslo"] if reader.startswith("datasets") else ["4", '"Oslo"']
    assert values == expected, f"{reader} changed"
try:
    rows.sort("a")
except pa.ArrowTypeError as error:
    print("datasets, sort:", error)
else:
    raise AssertionError("datasets sorts by the column now")
PYTHON
