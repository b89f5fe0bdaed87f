"""The whole build on synthetic rows: what a quota change costs, how fast outputs are written, what memory it takes.

    python benches/bench_build.py [--rows 5000000] [--copies 3]

Prints the time to read and decide, then, over the cached stages, the time from the call to the new mixture's row
numbers and the rate at which the outputs are written. Peak memory is anonymous memory: pages of mapped files do not
count. No peer does the whole job; the parts that have one are measured beside it in bench_read.py, bench_dedup.py and
bench_sample.py.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from chaffinch.store import build_info
from chaffinch.synth import synthesise

DATA = Path(__file__).parent / "data"


def recipe(rows: int, copies: int) -> dict[str, Any]:
    sources: list[dict[str, Any]] = []
    for copy in range(copies):
        sources += [
            {"name": f"lines{copy}", "files": "lines/*.jsonl", "task": "file"},
            {"name": f"tasks{copy}", "files": "tasks/*", "format": "natural-instructions"},
        ]
    return {
        "name": "bench",
        "seed": 1,
        "sources": sources,
        "clean": {"lengths": [{"field": "response", "min": 1}]},
        "dedup": {"exact": [{"on": ["prompt", "response"], "normal_form": "case", "within": ["source"]}]},
        "sample": {"by": ["source", "task"], "total": rows},
        "format": {"template": "alpaca"},
    }


SCRIPT = """
import json, sys, chaffinch as cf
result = cf.build(json.loads(sys.argv[1]), data=sys.argv[2], out=sys.argv[3])
texts = result.table.nbytes + result.ledger.nbytes
print(json.dumps({"texts": texts, "summary": result.summary}))
"""


def verdict(met: bool, bar: str) -> str:
    return f", bar {bar}: {'met' if met else 'MISSED'}"


def build_in_a_process(values: dict[str, Any], data: Path, out: Path, *, cached: bool) -> dict[str, Any]:
    """Each build in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(values), str(data), str(out)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    summary = answer["summary"]
    stages = ", ".join(f"{stage['stage']} {stage['seconds']:.2f}" for stage in summary["stages"])
    print(
        f"  {summary['stages'][0]['rows_out']:,} rows read, {summary['kept']:,} kept, {summary['seconds']:.1f} s in all"
    )
    seconds = summary["seconds_to_rows"]
    print(f"  {stages}; new row numbers after {seconds:.2f} s{verdict(seconds <= 2, '2 s') if cached else ''}")
    rate = answer["texts"] / summary["seconds_to_write"] / 1e6
    fast = verdict(rate >= 200, "200 MB/s")
    print(f"  mixture and ledger: {answer['texts'] / 1e6:,.0f} MB written at {rate:,.0f} MB/s{fast}")
    memory = summary["peak_memory_bytes"] / 2**30
    print(f"  peak anonymous memory {memory:.2f} GiB{verdict(memory < 6, '6 GiB')}")
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--copies", type=int, default=1, help="read the corpus so many times, as sources of their own")
    arguments = parser.parse_args()
    rows, copies = arguments.rows, arguments.copies
    data, out = DATA / f"synth-{rows}", DATA / f"out-{rows}"
    if not data.is_dir():
        started = time.perf_counter()
        synthesise(data, rows, seed=0, profile="flat")
        print(f"synth: {rows:,} rows in {time.perf_counter() - started:.1f} s")
    shutil.rmtree(out, ignore_errors=True)
    print(f"python {platform.python_version()}, {platform.machine()}, chaffinch {build_info()}")
    print("first build")
    build_in_a_process(recipe(rows // 10, copies), data, out, cached=False)
    print("the same with another quota (the bars are for 5 M rows, that of memory for 15 M)")
    build_in_a_process(recipe(rows // 8, copies), data, out, cached=True)


if __name__ == "__main__":
    main()
