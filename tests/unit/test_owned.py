"""A build, a report, an evaluation and a corpus replace what they wrote, and nothing else, whatever its name is."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from chaffinch import output
from chaffinch.evaluation.run import evaluate
from chaffinch.owned import Owned
from chaffinch.progress import NoProgress
from chaffinch.report import write_report
from chaffinch.synth import synthesise
from tests.conftest import write_jsonl
from tests.unit.finished import finished_build

# Everything that a build publishes, as a file of the user's.
NAMES = [
    *("manifest.json", "data/train-00000-of-00001.parquet", "data/notes/own.txt", "trainer/own.txt", "packs.parquet"),
    *("ledger.parquet", "quarantine.parquet", "contamination.parquet", "flagged.parquet", "tasks.parquet"),
    *("report.html", "data"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "in" / "rows.jsonl", [{"instruction": f"q {n}", "output": f"a {n}"} for n in range(50)])
    return tmp_path / "in"


def build(data: Path, out: Path, **more: Any) -> cf.Result:
    return cf.build({"name": "x", "sources": [{"name": "a", "files": "rows.jsonl"}], **more}, data=data, out=out)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but those of the work folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and output.WORK not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("before", ["nothing", "failed"])
def test_files_of_the_user_are_refused(name: str, before: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if before == "failed":
        with pytest.raises(cf.DataError, match="no source has a single row"):
            build(
                data,
                out,
                sources=[{"name": "a", "files": "rows.jsonl", "fields": {"output": "none"}}],
                max_bad_fraction=1,
            )
        assert (out / output.WORK).is_dir()
    own = put(out / name)
    held = tree(out)
    with pytest.raises(cf.DataError, match=r"no record of it\nhint: move it elsewhere, or give another folder"):
        build(data, out)
    assert tree(out) == held
    own.rename(tmp_path / "own")
    assert build(data, out).summary["kept"] == 50


@pytest.mark.parametrize("name", ["data/own.parquet", "data/more/own.txt", "trainer/x/own.txt", "tasks.parquet"])
@pytest.mark.parametrize("cache", ["kept", "deleted"])
def test_what_is_put_among_the_files_of_a_build_stays(name: str, cache: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(data, out)
    put(out / name)
    if cache == "deleted":
        shutil.rmtree(out / output.WORK)
    held = tree(out)
    with pytest.raises(cf.DataError, match=rf"{name} would be replaced or removed"):
        build(data, out)
    assert tree(out) == held


def test_a_link_in_place_of_a_part_is_refused(data: Path, tmp_path: Path) -> None:
    own = put(tmp_path / "elsewhere" / "own.txt")
    for name in ("data", "report.html"):
        out = tmp_path / f"out-{name}"
        out.mkdir()
        (out / name).symlink_to(own.parent if name == "data" else own)
        with pytest.raises(cf.DataError, match=f"{name} would be replaced"):
            build(data, out)
        assert (out / name).is_symlink()
    assert own.read_text() == "mine"


def test_the_record_is_of_what_was_published(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for form in ("datasets", "parquet", "jsonl"):
        result = build(data, out, write={"format": form}, validation_fraction=0.5)
        assert result.summary["files"] == sorted(tree(out))
        assert json.loads((out / output.WORK / output.RECORD).read_text()) == {"files": sorted(tree(out)), "making": []}
    # A record of everything that ever was would take files of old names for its own.
    assert sum(name.startswith("data/") for name in tree(out)) == 2


def test_a_file_that_appears_during_the_build_stops_its_publication(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = build(data, out).table

    class Watcher(NoProgress):
        def start(self, stage: str, *_: Any) -> None:
            if stage == "write":
                put(out / "data" / "own.txt")

    with pytest.raises(cf.DataError, match=r"data/own\.txt would be replaced or removed"):
        cf.build({"name": "y", "sources": [{"name": "a", "files": "*"}]}, data=data, out=out, progress=Watcher())
    assert (out / "data" / "own.txt").read_text() == "mine"
    (out / "data" / "own.txt").unlink()
    assert cf.Result(out).table == before


KILLED = """
import os, signal, sys
from pathlib import Path
import chaffinch as cf
from chaffinch import output
from chaffinch.progress import NoProgress
left = int(sys.argv[3])
replace = Path.replace
def killing(self, target):
    global left
    if output.WORK in self.parts or output.WORK in Path(target).parts:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
class Watcher(NoProgress):
    def finish(self, done, removed):
        Path.replace = killing
cf.build({"name": "x", "sources": [{"name": "a", "files": "rows.jsonl"}]}, data=sys.argv[1], out=sys.argv[2],
         progress=Watcher())
"""


def test_a_build_killed_at_any_move_is_followed_by_a_whole_one(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = build(data, tmp_path / "whole").table
    build(data, out, validation_fraction=0.5)
    kills = 0
    while True:
        command = [sys.executable, "-c", KILLED, str(data), str(out), str(kills)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
    assert kills > 8
    assert cf.Result(out).table == whole
    assert cf.Result(out).summary["files"] == sorted(tree(out))
    assert not (out / output.WORK / "old").exists()


def test_a_damaged_record_owns_nothing(tmp_path: Path) -> None:
    for record in ("", "[]", "{}", '{"files": 3, "making": []}', "{" * 10_000):
        (tmp_path / "record").write_text(record)
        assert not Owned(tmp_path, tmp_path / "record").lists("data")


def test_a_report_is_not_written_over_another(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out", files=[])
    put(out / "report.html")
    with pytest.raises(cf.DataError, match=r"report\.html would be replaced or removed"):
        write_report(out)
    (out / "report.html").unlink()
    for _ in range(2):
        assert write_report(out).stat().st_size > 1000


@pytest.mark.parametrize("name", ["results.json", "items.parquet"])
def test_an_evaluation_replaces_only_its_own(name: str, tmp_path: Path) -> None:
    for text in ("mine", "{}", "[]"):
        (tmp_path / name).write_text(text)
        with pytest.raises(cf.DataError, match=rf"{name} would be replaced, and no evaluation wrote it\nhint: "):
            evaluate("nowhere", suite="mmlu", data=tmp_path, out=tmp_path)
        assert (tmp_path / name).read_text() == text
    if name == "items.parquet":
        pq.write_table(pa.table({"own": [1]}), tmp_path / name)
        with pytest.raises(cf.DataError, match="no evaluation wrote it"):
            evaluate("nowhere", suite="mmlu", data=tmp_path, out=tmp_path)


def test_an_unfinished_corpus_is_made_again_and_another_folder_kept(tmp_path: Path) -> None:
    own = put(tmp_path / ".corpus.partial" / "own.txt")
    with pytest.raises(FileExistsError, match=r"\.corpus\.partial is no corpus that was left unfinished\nhint: "):
        synthesise(tmp_path / "corpus", 100)
    assert own.read_text() == "mine"
    shutil.rmtree(own.parent)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "corpus", 100, progress=stop)
    assert own.parent.is_dir()
    synthesise(tmp_path / "corpus", 100)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert not (tmp_path / "corpus" / ".partial").exists()
