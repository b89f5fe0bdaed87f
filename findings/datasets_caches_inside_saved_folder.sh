#!/usr/bin/env bash
# A folder of `save_to_disk` is data. Expected of `map` and `filter` on a data set loaded from it: their caches lie in the cache folder of
# the library. Seen: both write `cache-*.arrow` beside the data: `map` a second copy of all rows, `filter` a file of row numbers. Whoever
# reads `*.arrow` gets each row twice with no message (same columns), or an error about a column named `indices`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --disable-pip-version-check -q install datasets==5.2.0 pyarrow==26.0.1
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version
from pathlib import Path
import datasets, pyarrow as pa

datasets.disable_progress_bars()
print("datasets", version("datasets"))
datasets.Dataset.from_dict({"text": [f"row {n}" for n in range(10)]}).save_to_disk("saved")
rows = datasets.load_from_disk("saved")
rows.map(lambda row: {"text": row["text"].upper()})
print("after map:", sorted(path.name.split("-")[0] for path in Path("saved").glob("*.arrow")))
both = datasets.load_dataset("arrow", data_files="saved/*.arrow", split="train")
print("rows saved: 10, rows of saved/*.arrow:", both.num_rows, "; again by load_from_disk:", datasets.load_from_disk("saved").num_rows)
assert both.num_rows == 20 and datasets.load_from_disk("saved").num_rows == 10
before = {*Path("saved").glob("cache-*.arrow")}
rows.filter(lambda row: row["text"].endswith("7"))
(made,) = {*Path("saved").glob("cache-*.arrow")} - before
schema = pa.ipc.open_stream(made).schema
print("after filter:", schema.names, schema.field(0).type)
assert schema.names == ["indices"] and schema.field(0).type == pa.uint64()
PYTHON
