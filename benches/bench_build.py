"""The whole build on synthetic rows: what a quota change costs, how fast outputs are written, what memory it takes.

    python benches/bench_build.py [--rows 5000000]

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

DATA = Path(__file__).parent / "data"


def recipe(rows: int) -> dict[str, object]:
    share = rows // 10
    return {
        "name": "bench",
        "seed": 1,
        "sources": [{"name": "flat", "files": "flat/**/*.json*", "task": "file"}],
        "clean": {"lengths": [{"field": "response", "min": 1}]},
        "dedup": {"exact": [{"on": ["prompt", "response"], "normal_form": "case"}]},
        "sample": {"by": ["task"], "total": share, "method": "proportional"},
        "format": {"template": "alpaca"},
    }


def build_in_a_process(rows: int, total: int, data: Path, out: Path) -> dict[str, object]:
    """Each build in a process of its own, so that its peak memory is its own."""
    script = (
        "import json, sys, time, chaffinch as cf\n"
        "values, data, out = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
        "started = time.perf_counter()\n"
        "result = cf.build(values, data=data, out=out)\n"
        "summary = result.summary\n"
        "print(json.dumps({'whole': time.perf_counter() - started, 'decided': summary['decided_seconds'],\n"
        "  'peak': summary['peak_memory_bytes'], 'kept': summary['kept'], 'read': summary['stages'][0]['rows_out'],\n"
        "  'stages': {s['stage']: s['seconds'] for s in summary['stages']},\n"
        "  'written_bytes': summary['written_text_bytes'], 'write_seconds': summary['write_seconds']}))\n"
    )
    values = recipe(rows)
    values["sample"]["total"] = total  # type: ignore[index]
    output = subprocess.run(
        [sys.executable, "-c", script, json.dumps(values), str(data), str(out)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(output.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    arguments = parser.parse_args()
    data, out = DATA / f"synth-{arguments.rows}", DATA / f"out-{arguments.rows}"
    if not data.is_dir():
        from chaffinch.synth import synthesise

        started = time.perf_counter()
        synthesise(data, arguments.rows, seed=0, profile="flat")
        print(f"synth: {arguments.rows:,} rows in {time.perf_counter() - started:.1f} s")
    shutil.rmtree(out, ignore_errors=True)
    print(f"python {platform.python_version()}, {platform.machine()}")
    first = build_in_a_process(arguments.rows, arguments.rows // 10, data, out)
    print("first build      ", json.dumps(first))
    second = build_in_a_process(arguments.rows, arguments.rows // 8, data, out)
    print("quota changed    ", json.dumps(second))
    print(f"new row numbers in {second['decided']:.2f} s (bar: 2 s at 5 M rows)")
    rate = second["written_bytes"] / second["write_seconds"] / 1e6  # type: ignore[operator]
    print(f"outputs written at {rate:.0f} MB/s (bar: 200)")
    print(f"peak anonymous memory {first['peak'] / 2**30:.2f} GiB first, {second['peak'] / 2**30:.2f} GiB second")  # type: ignore[operator]


if __name__ == "__main__":
    main()
