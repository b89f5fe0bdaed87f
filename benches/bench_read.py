"""How fast the read stage is, against CPython, polars and datasets: python benches/bench_read.py

Needs a release build. Prints a table and writes benches/data/results/read.json; each comparison asserts that
both sides found the same.

Both sides read the same files from a warm page cache, in turn, and of both the best of equally many runs counts. Our
time always includes hashing each row and writing the mapped Arrow files, each run into an empty folder as in use, where
no shard is written over another. That of polars' readers and of json.load into lists ends in memory; the lines that
say so add what polars takes to write the same rows to an Arrow file. Only the lines of `load_dataset` include hashing
the input files.
"""

import argparse
import gzip
import json
import os
import platform
import random
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from chaffinch import _core
from chaffinch.readers import Shard, read_source
from chaffinch.recipe.source import Source

HERE = Path(__file__).parent / "data"
REAL = Path(__file__).parents[2] / "shared" / "data" / "natural-instructions"
GENERATED_BYTES = 220 << 20
LARGE_REPEATS = 4


def natural_files() -> list[Path]:
    """Unpacked Natural Instructions files: the real ones where they are, else made ones of the same shape."""
    folder = HERE / "natural"
    folder.mkdir(parents=True, exist_ok=True)
    packed = sorted(REAL.glob("tasks*/*.json*"))
    for path in packed:
        target = folder / path.name.removesuffix(".gz")
        if not target.exists():
            content = path.read_bytes()
            target.write_bytes(gzip.decompress(content) if path.suffix == ".gz" else content)
    if not packed and not any(folder.iterdir()):
        for number in range(20):
            instances = [
                {"id": f"task{number}-{row['number']}", "input": row["input"], "output": [row["output"]]}
                for row in rows(3000, number)
            ]
            (folder / f"task{number}.json").write_text(
                json.dumps({"Definition": ["Define it."], "Instances": instances}, indent=4)
            )
    return sorted(folder.glob("*.json"))


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    words = [
        "the",
        "river",
        "runs",
        "past",
        "a",
        "stone",
        "house",
        "and",
        "people",
        "count",
        "what",
        "they",
        "have",
    ]

    def text(least: int, most: int) -> str:
        """Text as data sets have it: some newlines, fewer quotes, an accent in one text of twenty."""
        chosen = chance.choices(words, k=chance.randint(least, most))
        chosen[9::15] = [f"{word}.\n" for word in chosen[9::15]]
        chosen[20::60] = [f'"{word}"' for word in chosen[20::60]]
        return " ".join([*chosen, "naïve"] if chance.random() < 0.05 else chosen)

    return [
        {"instruction": text(5, 40), "input": text(0, 60), "output": text(1, 120), "number": number}
        for number in range(count)
    ]


def generated() -> tuple[Path, Path]:
    """The same rows as JSON lines and as one JSON array."""
    lines, array = HERE / "rows.jsonl", HERE / "rows.json"
    if not lines.exists() or not array.exists():
        dumped = [json.dumps(row, ensure_ascii=False) for row in rows(40_000, 0)]
        repeats = GENERATED_BYTES // sum(len(line.encode()) + 1 for line in dumped) + 1
        lines.write_text("\n".join(dumped * repeats) + "\n", "utf-8")
        array.write_text("[" + ",\n".join(dumped * repeats) + "]", "utf-8")
    return lines, array


# What to do before a run, which is not measured, and the run.
Work = tuple[Callable[[], Any], Callable[[], Any]]


def best(rounds: int, *works: Work) -> list[tuple[float, Any]]:
    """Seconds of the best run of each, and the last one's result: all of them once per round, so the machine is alike.

    A round before them is not counted: in it a virtual machine is handed the memory that the later ones find.
    """
    times: list[list[float]] = [[] for _ in works]
    results: list[Any] = [None] * len(works)
    for _ in range(rounds + 1):
        for at, (before, run) in enumerate(works):
            results[at] = None
            before()
            start = time.perf_counter()
            results[at] = run()
            times[at].append(time.perf_counter() - start)
    return [(min(seconds[1:]), result) for seconds, result in zip(times, results, strict=True)]


def nothing() -> None:
    """Needs no preparation."""


def nothing_written() -> None:
    """Removes what either side wrote, or the system would go on writing it to disk during the next run."""
    fresh("polars-out")
    fresh("polars-written")


def python_columns(paths: list[Path]) -> dict[str, list[Any]]:
    """What `json.load` and plain Python make of the files: the store's columns but for the hashes."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for path in paths:
        with path.open(encoding="utf-8") as file:
            task = json.load(file)
        definition = joined(task["Definition"], "\n")
        category = joined(task["Categories"], "; ")
        languages = [task.get(f"{side}_language") for side in ("Input", "Output")]
        single = languages[0] == languages[1] and (languages[0] is None or len(languages[0]) == 1)
        language = joined(languages[0], "") if single else ">".join("; ".join(names) for names in languages)
        licence = joined(task.get("Instance License"), "; ")
        for position, instance in enumerate(task["Instances"]):
            output = instance["output"]
            columns["task"].append(path.stem)
            columns["category"].append(category)
            columns["language"].append(language)
            columns["licence"].append(licence)
            columns["instruction"].append(definition)
            columns["input"].append(instance["input"])
            columns["references"].append([output] if isinstance(output, str) else list(dict.fromkeys(output)))
            columns["meta"].append(
                json.dumps({"id": instance["id"]}, separators=(",", ":")) if "id" in instance else None
            )
            columns["position"].append(position)
    return columns


COLUMNS = [
    "task",
    "category",
    "language",
    "licence",
    "instruction",
    "input",
    "references",
    "meta",
    "position",
]


def joined(value: str | list[str] | None, between: str) -> str | None:
    return value if value is None or isinstance(value, str) else between.join(value)


def python_arrow(paths: list[Path], folder: Path) -> None:
    """The same columns as Arrow files, as plain Python makes them."""
    types = {"references": pa.list_(pa.string_view()), "position": pa.uint64()}
    for path in paths:
        columns = python_columns([path])
        table = pa.table(
            {name: pa.array(values, types.get(name, pa.string_view())) for name, values in columns.items()}
        )
        with pa.ipc.new_file(folder / f"{path.name}.arrow", table.schema) as writer:
            writer.write_table(table)


def table_of(shards: list[Shard]) -> Any:
    return pa.concat_tables(pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all() for shard in shards)


def read_jobs(paths: list[Path], folder: Path, threads: int) -> None:
    """Only the core's work: files in, mapped Arrow files out; no hashing, no cache."""
    from chaffinch.readers.inputs import Input
    from chaffinch.readers.plan import core_plan

    plan = core_plan(Source(name="s", files="*"), [], Input("x.json", (), 0))
    jobs = [
        {
            "path": path, "file": path.name, "task": None, "stem": path.stem,
            "elements": False, "delimited": False,
            "output": folder / f"{path.name}.arrow", "quarantine": folder / f"{path.name}.quarantine.arrow",
        }
        for path in paths
    ]  # fmt: skip
    _core.read_files(dict(plan), jobs, threads=threads)


def natural(repeats: int) -> list[dict[str, Any]]:
    paths = natural_files()
    size = sum(path.stat().st_size for path in paths)
    folder = fresh("natural-out")
    (ours, _), (to_lists, columns), (to_arrow, _) = best(
        repeats,
        (lambda: fresh("natural-out"), lambda: read_jobs(paths, folder, 1)),
        (nothing, lambda: python_columns(paths)),
        (nothing, lambda: python_arrow(paths, fresh("python-out"))),
    )
    table = pa.concat_tables(
        pa.ipc.open_file(pa.memory_map(str(folder / f"{path.name}.arrow"))).read_all() for path in paths
    )
    for name, column in columns.items():
        assert table[name].to_pylist() == column, name
    del columns
    what = "Natural Instructions, one thread"
    lists = line(what, size, ours, "json.load into Python lists", to_lists, 5.0, 250)
    return [lists, line(what, size, ours, "json.load into Arrow files", to_arrow, 5.0, 250)]


def large() -> Path:
    """The JSON lines several times over, about 1 GB."""
    lines, path = generated()[0], HERE / "rows-large.jsonl"
    if not path.exists():
        with path.open("wb") as file:
            for _ in range(LARGE_REPEATS):
                file.write(lines.read_bytes())
    return path


def to_ipc(reader: Callable[[Path], pl.DataFrame], path: Path, written: Path) -> None:
    reader(path).write_ipc(written)


def polars(repeats: int) -> list[dict[str, Any]]:
    found = []
    lines, array = generated()
    cases = [
        (lines, pl.read_ndjson, "JSON lines"),
        (large(), pl.read_ndjson, "JSON lines"),
        (array, pl.read_json, "JSON array"),
    ]
    for path, reader, name in cases:
        written = fresh("polars-written") / "rows.arrow"
        read = partial(read_jobs, [path], HERE / "polars-out", os.cpu_count() or 1)
        works = [
            (nothing_written, work) for work in (read, partial(reader, path), partial(to_ipc, reader, path, written))
        ]
        (ours, _), (to_memory, frame), (to_file, _) = best(repeats, *works)
        # The last round of theirs removed our file.
        read()
        table = pa.ipc.open_file(pa.memory_map(str(HERE / "polars-out" / f"{path.name}.arrow"))).read_all()
        assert pl.from_arrow(table["input"]).equals(frame["input"])
        assert pl.read_ipc(written).equals(frame)
        size, peer = path.stat().st_size, f"polars.{reader.__name__}"
        del frame, table
        found.append(line(f"{name}, to a mapped file", size, ours, f"{peer}, to memory", to_memory, 1.0))
        found.append(line(f"{name}, to a mapped file", size, ours, f"{peer} and write_ipc", to_file, 1.0))
    return found


def hugging_face(repeats: int) -> list[dict[str, Any]]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    datasets.disable_progress_bars()
    found = []
    for path, name, bar in zip(generated(), ("JSON lines", "JSON array"), (3.0, 8.0), strict=True):
        source = Source(name="s", files=path.name)
        cache, theirs_cache = HERE / "stage-cache", HERE / "datasets-cache"
        clear = partial(remove, (cache, theirs_cache))
        load = partial(datasets.load_dataset, "json", data_files=str(path), split="train", cache_dir=str(theirs_cache))
        (ours, _), (theirs, loaded) = best(
            repeats, (clear, lambda source=source, cache=cache: read_source(source, HERE, cache)), (clear, load)
        )
        # The last round of theirs removed our shards.
        shards = read_source(source, HERE, cache)
        inputs = table_of(shards)["input"].to_pylist()
        assert inputs == loaded["input"][:]
        del loaded, inputs
        clear()
        found.append(
            line(
                f"read stage with hashing, {name}",
                path.stat().st_size,
                ours,
                "datasets.load_dataset",
                theirs,
                bar,
            )
        )
    return found


def remove(folders: tuple[Path, ...]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def fresh(name: str) -> Path:
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir(parents=True)
    return HERE / name


def line(
    what: str, size: int, ours: float, peer: str, theirs: float, bar: float, bar_rate: float = 0
) -> dict[str, Any]:
    rate, ratio = size / ours / 1e6, theirs / ours
    found = {
        "what": what,
        "bytes": size,
        "seconds": ours,
        "mb_per_s": rate,
        "peer": peer,
        "peer_seconds": theirs,
        "ratio": ratio,
        "met": ratio >= bar and rate >= bar_rate,
    }
    verdict = "met" if found["met"] else "MISSED"
    print(
        f"{what:40} {size / 1e6:7.0f} MB {ours:7.2f} s {rate:6.0f} MB/s  "
        f"{ratio:5.1f}x {peer} ({theirs:.2f} s), bar {bar:g}x: {verdict}",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("only", nargs="*", default=["natural", "polars", "hugging_face"])
    arguments = parser.parse_args()
    version, profile, architecture = _core.build_info()
    if profile != "release":
        raise SystemExit("this is a debug build; measure with: maturin develop --release")
    parts = {"natural": natural, "polars": polars, "hugging_face": hugging_face}
    results = [result for name in arguments.only for result in parts[name](arguments.repeats)]
    machine = {
        "build": [version, profile, architecture],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "polars": pl.__version__,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "read.json").write_text(json.dumps({"machine": machine, "results": results}, indent=2))


if __name__ == "__main__":
    main()
