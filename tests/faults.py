"""Faults on purpose: what is tried, how often, and what held. `make faults` prints the table of docs/security.md.

Everything happens in folders of its own. A fault holds when the process ends in an error that says what to do, or the
answer is what it would have been; it does not when the process dies, hangs, or gives another answer with exit code 0.
"""

import contextlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chaffinch as cf
from chaffinch.output import WORK
from tests.made_tokenizers import gpt2, save

ROWS = 400
RECIPE: dict[str, Any] = {
    "name": "faults",
    "max_bad_fraction": 0.5,
    "sources": [
        {"name": "a", "files": "a.jsonl"},
        {"name": "b", "files": "b.json"},
        {"name": "ni", "files": "task*.json", "format": "natural-instructions"},
    ],
    "provenance": {"traces": {"all": "remove"}},
    "clean": {"lengths": [{"field": "response", "max": 12}]},
    "dedup": {"exact": [{"on": ["prompt", "response"], "normal_form": "case"}]},
    "label": {"sources": "ni"},
    "score": {"sources": "ni"},
    "bucket": {},
    "sample": {"by": ["source"], "rows": {"a": 60, "b": 60, "ni": 60}, "shortfall": "accept"},
}
Damage = Callable[[bytes, random.Random], bytes]


def _flipped(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def _zeroed(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    end = min(len(content), at + 512)
    return content[:at] + bytes(end - at) + content[end:]


DAMAGES: dict[str, Damage] = {
    "one bit": _flipped,
    "512 bytes of zeroes": _zeroed,
    "cut": lambda content, chance: content[: chance.randrange(len(content))],
    "longer": lambda content, chance: content + chance.randbytes(9),
    "empty": lambda *_: b"",
}


def corpus(folder: Path, rows: int = ROWS) -> Path:
    """Sources in three forms, with bad rows, duplicates and examples."""
    chance = random.Random(5)
    words = "grain chaff river stone seven answer question field 12 a the of".split()
    made: list[dict[str, Any]] = []
    for n in range(rows):
        row = {
            "instruction": " ".join(chance.choices(words, k=5)),
            "output": " ".join(chance.choices(words, k=n % 14 + 1)),
        }
        made.append(dict(chance.choice(made)) if n % 9 == 8 else row)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in made]
    (folder / "a.jsonl").write_text("\n".join([*lines[: rows // 2], "{broken", '{"instruction": "x"}']) + "\n")
    (folder / "b.json").write_text(json.dumps(made[rows // 2 :]))
    for task in range(3):
        instances = [
            {"id": f"t{task}-{n}", "input": f"{n % 50} {task}", "output": [str(n % 7)]} for n in range(rows // 4)
        ]
        example = {"input": "1", "output": "2", "explanation": ""}
        content = {"Definition": ["Count."], "Positive Examples": [example], "Instances": instances}
        (folder / f"task{task}.json").write_text(json.dumps(content))
    save(folder / "tokenizer", gpt2())
    return folder


def build(data: Path, out: Path) -> cf.Result:
    tokenize = {"tokenizer": str(data / "tokenizer"), "max_length": 64}
    return cf.build({**RECIPE, "tokenize": tokenize}, data=data, out=out, threads=2)


def answer(result: cf.Result) -> tuple[Any, ...]:
    """What a build says, but for times and places."""
    tables = tuple(table.to_pylist() for table in (result.table, result.ledger, result.quarantine))
    counts = {name: result.summary[name] for name in ("sources", "kept", "sample", "scores", "buckets")}
    inputs = [{key: one[key] for key in ("file", "hash", "rows", "notes")} for one in result.summary["inputs"]]
    return *tables, counts, inputs


@dataclass
class Found:
    """What became of one kind of fault."""

    tried: int = 0
    held: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, what: str, holds: bool) -> None:
        self.tried += 1
        self.held += holds
        if not holds:
            self.failures.append(what)


def cached_files(cache: Path) -> list[Path]:
    """The files of a cache, each once by what it holds: shards, summaries, decisions, tables, hashes of inputs."""
    return sorted(path for path in cache.rglob("*") if path.is_file() and path.name not in ("lock", "published.json"))


def damages(root: Path, times: int, kinds: Sequence[str] = tuple(DAMAGES)) -> Iterator[tuple[str, Found]]:
    """Every cached file, damaged in every way `times` times: the next build says so and gives the same answer."""
    data, whole = corpus(root / "data"), root / "whole"
    expected = answer(build(data, whole))
    # The hashes of the inputs are remembered once these are old enough.
    time.sleep(2.1)
    build(data, whole)
    chance, found = random.Random(1), {name: Found() for name in kinds}
    for path in cached_files(whole / WORK):
        name = path.relative_to(whole / WORK)
        content = path.read_bytes()
        for kind in kinds:
            for _ in range(times if kind in ("one bit", "512 bytes of zeroes", "cut") else 1):
                damaged = DAMAGES[kind](content, chance)
                if damaged == content:
                    continue
                path.write_bytes(damaged)
                result = build(data, whole)
                reported = any(path.name in warning and "damaged" in warning for warning in result.summary["warnings"])
                found[kind].add(f"{kind} of {name}: reported {reported}", reported and answer(result) == expected)
    for kind, one in found.items():
        yield f"a cached file damaged ({kind}), then a build", one


KILLED = (
    "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from tests.faults import build; "
    "build(Path(sys.argv[1]), Path(sys.argv[2]))"
)


def kills(root: Path, times: int) -> Iterator[tuple[str, Found]]:
    """A build ended at any moment: what is published is whole, and the next build gives the same answer."""
    data = corpus(root / "data", 20_000)
    expected = answer(build(data, root / "whole"))
    command = [sys.executable, "-c", KILLED, str(data), str(root / "out"), str(Path(__file__).parents[1])]
    begun = time.monotonic()
    subprocess.run(command, check=True)
    taken = time.monotonic() - begun
    for name, number in (("kill -9", signal.SIGKILL), ("Ctrl-C", signal.SIGINT)):
        found = Found()
        for trial in range(times):
            shutil.rmtree(root / "out", ignore_errors=True)
            process = subprocess.Popen(
                command,
                stderr=subprocess.PIPE,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            time.sleep(taken * (trial + 0.5) / times)
            process.send_signal(number)
            process.communicate()
            finished = (root / "out" / "manifest.json").exists()
            whole = not finished or answer(cf.Result(root / "out")) == expected
            found.add(f"{name} {trial}", whole and answer(build(data, root / "out")) == expected)
        yield f"a build ended by {name}, then another", found


LIMITED = (
    "import resource, sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from tests.faults import build; "
    "resource.setrlimit(getattr(resource, sys.argv[4]), (int(sys.argv[5]), int(sys.argv[5]))); "
    "import chaffinch as cf\n"
    "try: build(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    "except (cf.DataError, OSError, MemoryError) as error: print(error); sys.exit(1)"
)


def limits(root: Path) -> Iterator[tuple[str, Found]]:
    """A build that may not have what it needs ends in an error, and leaves nothing that looks finished."""
    data = corpus(root / "data", 20_000)
    expected = answer(build(data, root / "whole"))
    tried = {
        "files of few bytes (a full disk)": ("RLIMIT_FSIZE", [1 << n for n in range(8, 22)]),
        "few open files": ("RLIMIT_NOFILE", [*range(8, 40, 2)]),
        "little memory": ("RLIMIT_AS", [n << 20 for n in range(200, 1400, 80)]),
    }
    for name, (limit, values) in tried.items():
        found = Found()
        for value in values:
            shutil.rmtree(root / "out", ignore_errors=True)
            command = [sys.executable, "-c", LIMITED, str(data), str(root / "out"), str(Path(__file__).parents[1])]
            done = subprocess.run([*command, limit, str(value)], capture_output=True, text=True, check=False)
            if (root / "out" / "manifest.json").exists():
                found.add(f"{limit} {value}", answer(cf.Result(root / "out")) == expected)
            else:
                found.add(f"{limit} {value}: {done.returncode} {done.stderr[-300:]}", done.returncode == 1)
        yield f"a build with {name}", found


def own_files(root: Path) -> Iterator[tuple[str, Found]]:
    """Files of the user's in every place where a build writes: they are still there after the next one."""
    data = corpus(root / "data")
    found = Found()
    for name in (
        "data/own.txt",
        "data/train-00000-of-00001.parquet",
        "trainer/own.txt",
        "report.html",
        "ledger.parquet",
    ):
        for state in ("new", "failed", "finished"):
            out = root / f"out-{found.tried}"
            if state == "failed":
                with_failure = {**RECIPE, "max_bad_fraction": 0.0}
                with contextlib.suppress(cf.DataError):
                    cf.build(with_failure, data=data, out=out)
            elif state == "finished":
                build(data, out)
                name = f"data/own-{Path(name).name}"
            own = out / name
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text("mine")
            with contextlib.suppress(cf.DataError):
                build(data, out)
            found.add(f"{name} {state}", own.is_file() and own.read_text() == "mine")
    yield "a file of the user's where a build writes", found


def main(times: int) -> int:
    """Runs everything and prints the table."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    failures: list[str] = []
    print("| tried | times | held |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, faults in enumerate(
            (damages(root / "0", times), kills(root / "1", 10 * times), limits(root / "2"), own_files(root / "3"))
        ):
            (root / str(number)).mkdir()
            for name, found in faults:
                print(f"| {name} | {found.tried:,} | {found.held:,} |", flush=True)
                failures += found.failures
    print(*failures, sep="\n", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
