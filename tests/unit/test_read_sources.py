"""Which files a source has, what is cached, and what cannot be read at all."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chaffinch.cache import damage_reported
from chaffinch.errors import CacheWarning, DataError, RecipeError
from chaffinch.readers import plan_source, read_source
from chaffinch.recipe.source import Source

ROW = json.dumps({"instruction": "i", "output": "o"})


@pytest.fixture
def data(tmp_path):
    for name in ("b/2.jsonl", "b/10.jsonl", "b/.hidden.jsonl", "b/notes.md", "a.json"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ROW)
    return tmp_path / "data"


def source(**words) -> Source:
    return Source(**{"name": "s", "files": "b/*.jsonl", **words})


def age(folder: Path) -> None:
    """Makes every file look as if nobody had touched it for a while."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**10,) * 2)


def test_files_come_sorted_with_sizes_and_each_once(data):
    inputs = plan_source(source(files=["b/*.jsonl", "a.json", "b/2*"]), data)
    assert [(input_.file, input_.bytes) for input_ in inputs] == [
        ("a.json", len(ROW)),
        ("b/10.jsonl", len(ROW)),
        ("b/2.jsonl", len(ROW)),
    ]


def test_a_folder_stands_for_its_data_files(data):
    assert [input_.file for input_ in plan_source(source(files="b"), data)] == ["b/10.jsonl", "b/2.jsonl"]
    assert [input_.file for input_ in plan_source(source(files=".", exclude="b/1*"), data)] == [
        "a.json",
        "b/2.jsonl",
    ]


def test_a_link_to_a_folder_around_it_gives_no_file_twice(data):
    (data / "b" / "around").symlink_to(data)
    (data / "b" / "itself").symlink_to(data / "b" / "itself")
    (data / "linked").symlink_to(data / "b")
    for pattern in ("**/*", "b/*"):
        files = [input_.file for input_ in plan_source(source(files=pattern, exclude="linked"), data)]
        assert [file for file in files if file.endswith("2.jsonl")] == ["b/2.jsonl"]
    assert [input_.file for input_ in plan_source(source(files="linked"), data)] == [
        "linked/10.jsonl",
        "linked/2.jsonl",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"files": "c/x.json"}, "hint: the data folder has"),
        ({"files": "bb/2.jsonl"}, "hint: the data folder has b"),
        ({"files": "b/2.json"}, r"hint: .*/b has 2\.jsonl"),
        ({"files": ["a.json", "b/*.csv"]}, r"no file under .* matches 'b/\*\.csv'"),
        ({"files": "a.json", "exclude": "*.json"}, "hint: every matching file is excluded"),
    ],
)
def test_a_pattern_without_a_match_is_an_error_that_names_what_is_near(data, words, message):
    with pytest.raises(DataError, match=message):
        plan_source(source(**words), data)
    assert [input_.file for input_ in plan_source(source(**words, optional=True), data)] in ([], ["a.json"])


def test_a_missing_data_folder_is_named(data):
    with pytest.raises(DataError, match=r"the data folder .* does not exist"):
        plan_source(source(), data / "nowhere")


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../x", "b/../../x", "", "b/**x"])
def test_patterns_stay_inside_the_data_folder(data, pattern):
    with pytest.raises(RecipeError, match="hint: "):
        plan_source(source(files=pattern), data)


@pytest.mark.parametrize(
    "words",
    [
        {"format": "conversation", "fields": {"input": "x"}},
        {"format": "natural-instructions", "fields": {"output": "x"}},
        {"format": "instruction", "fields": {"messages": "x"}},
        {"format": "quac", "fields": {"instruction": "x"}},
        {"format": "conversation", "columns": ["a"]},
        {"delimiter": "é"},
        {"delimiter": "::"},
    ],
)
def test_words_without_a_meaning_are_refused(data, tmp_path, words):
    with pytest.raises(RecipeError, match="hint: "):
        read_source(source(**words), data, tmp_path / "cache")


def test_a_second_reading_touches_nothing(data, tmp_path):
    age(data)
    first = read_source(source(), data, tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    seen = []
    assert read_source(source(), data, tmp_path / "cache", progress=seen.append) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before
    assert seen == [2 * len(ROW)]


def test_a_shard_depends_on_content_and_words_not_on_the_place(data, tmp_path):
    cache = tmp_path / "cache"
    [first, second] = read_source(source(format="instruction"), data, cache)
    # Equal content and the same task: one shard serves both.
    assert first.path == second.path
    (data / "b/2.jsonl").rename(data / "moved.jsonl")
    [moved] = read_source(source(files="moved.jsonl", format="instruction"), data, cache)
    assert (moved.path, moved.file, moved.rows) == (first.path, "moved.jsonl", 1)
    for words in (
        {"task": "t"},
        {"category": "c"},
        {"edits": [{"name": "blank", "values": "x"}]},
        {"name": "other"},
    ):
        [changed] = read_source(source(files="moved.jsonl", **{"format": "instruction", **words}), data, cache)
        assert changed.path != first.path


def test_a_changed_file_is_read_again(data, tmp_path):
    age(data)
    [before] = read_source(source(files="a.json"), data, tmp_path / "cache")
    stamp = (data / "a.json").stat().st_mtime_ns
    (data / "a.json").write_text(ROW.replace("o", "x", 1))
    # Same size, same age: only the inode or a fresh hash could tell, and a file this young is always hashed.
    [after] = read_source(source(files="a.json"), data, tmp_path / "cache")
    assert after.file_hash != before.file_hash
    os.utime(data / "a.json", ns=(stamp + 1, stamp + 1))
    assert read_source(source(files="a.json"), data, tmp_path / "cache") == [after]


def test_what_is_missing_or_torn_in_the_cache_is_made_again(data, tmp_path):
    (data / "b/2.jsonl").write_text(ROW + "\nbad\n")
    cache = tmp_path / "cache"
    shards = read_source(source(files="b/2.jsonl"), data, cache)
    image = shards[0].path.read_bytes()
    for damage in (
        lambda: shards[0].path.unlink(),
        lambda: shards[0].path.write_bytes(image[:100]),
        lambda: shards[0].quarantine.unlink(),
        lambda: shards[0].path.with_suffix(".json").write_text("{"),
        lambda: (cache / "inputs.json").write_text("[1"),
    ):
        damage()
        with damage_reported():
            assert read_source(source(files="b/2.jsonl"), data, cache) == shards
        assert shards[0].path.read_bytes() == image


def test_quarantine_names_each_of_two_equal_files(data, tmp_path):
    for name in ("b/2.jsonl", "b/10.jsonl"):
        (data / name).write_text("bad")
    shards = read_source(source(), data, tmp_path / "cache")
    named = [pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all()["file"].to_pylist() for shard in shards]
    assert named == [["b/10.jsonl"], ["b/2.jsonl"]]


def test_nothing_unfinished_is_left_behind(data, tmp_path):
    (data / "big.json.gz").write_bytes(gzip.compress(f"[{', '.join([ROW] * 700_000)}]".encode(), 1))
    [shard] = read_source(source(files="big.json.gz"), data, tmp_path / "cache")
    assert shard.rows == 700_000
    (data / "bad.parquet").write_bytes(b"no Parquet")
    with pytest.raises(DataError, match=r"bad\.parquet.*\nhint: "):
        read_source(source(files="bad.parquet"), data, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.tmp")) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz"])
def test_a_bomb_is_refused(data, tmp_path, name):
    zeros = gzip.compress(b"[" + b" " * (1 << 26), 9)
    with (data / name).open("wb") as file:
        for _ in range(20):
            file.write(zeros)
    with pytest.raises(DataError, match=r"unpack to more than [\s\S]*hint: "):
        read_source(source(files=name), data, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.tmp")) == []


@pytest.mark.slow
def test_a_gigantic_line_is_quarantined_and_the_rest_read(data, tmp_path):
    with (data / "a.json").open("wb") as file:
        file.write(ROW.encode() + b"\n" + b'{"x": "')
        for _ in range(280):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n' + ROW.encode())
    [shard] = read_source(source(files="a.json"), data, tmp_path / "cache")
    [bad] = pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all().to_pylist()
    assert (shard.rows, bad["pointer"], bad["reason"], len(bad["raw"])) == (
        2,
        "line 2",
        "larger than 256 MiB",
        500,
    )


def test_cells_without_text_do_not_fill_the_memory(data, tmp_path):
    (data / "a.csv").write_text(f"instruction,output\ni,o\n{',' * 200_000}\ni,p\n")
    [shard] = read_source(source(files="a.csv"), data, tmp_path / "cache")
    [bad] = pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all().to_pylist()
    assert (shard.rows, bad["pointer"], bad["reason"]) == (2, "line 3", "more than 65,536 columns")


def test_damaged_unfolded_formats_are_quarantined(data, tmp_path):
    cache = tmp_path / "cache"
    (data / "q.json").write_text('{"data": [{"paragraphs": [{}]}]}')
    [shard] = read_source(source(files="q.json", format="quac"), data, cache)
    assert (shard.rows, shard.rejected) == (0, 1)
    (data / "o.jsonl").write_text(
        '{"question": 3}\nnone\n' + '{"question": {"stem": "s", "choices": []}, "answerKey": "A"}'
    )
    [shard] = read_source(source(files="o.jsonl", format="openbookqa"), data, cache)
    assert (shard.rows, shard.rejected) == (0, 3)
    for name, content in (
        ("1.story", b"text\n\n@highlight\n\npoint"),
        ("2.story", b"no point"),
        ("3.story", b"\xff\n@highlight\nx"),
    ):
        (data / name).write_bytes(content)
    [shard] = read_source(source(files="*.story", format="cnn-stories"), data, cache)
    reasons = pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all()["reason"].to_pylist()
    assert (shard.rows, reasons) == (1, ["no reference", "invalid UTF-8"])
    for number, files in enumerate(
        [
            {"question.txt": "q", "solutions.json": '["s",\n"t"]'},
            {"question.txt": "q"},
            {"question.txt": "q", "solutions.json": '["s"]', "metadata.json": "{"},
        ]
    ):
        (data / f"p/{number}").mkdir(parents=True)
        for name, content in files.items():
            (data / f"p/{number}" / name).write_text(content)
    [shard] = read_source(source(files="p/*", format="apps"), data, cache)
    assert (shard.file, shard.rows, shard.rejected) == ("p", 1, 2)


def test_progress_adds_up_to_the_sizes(data, tmp_path):
    for number in range(5):
        (data / f"b/{number}.jsonl").write_text("\n".join([ROW] * 1000 * (number + 1)))
    (data / "b/array.jsonl").write_text(f"[{','.join([ROW] * 5000)}]")
    seen = []
    read_source(source(), data, tmp_path / "cache", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == sum(input_.bytes for input_ in plan_source(source(), data))


@pytest.mark.parametrize("name", ["hf:one", "hf:a/b/c/d", "hf:"])
def test_hub_names_have_a_form(data, tmp_path, name):
    with pytest.raises(DataError, match="hint: write hf:org/name"):
        read_source(source(files=name), data, tmp_path / "cache")


HUB = """
import sys
from pathlib import Path
from chaffinch.errors import DataError
from chaffinch.readers import read_source
from chaffinch.recipe.source import Source
try:
    shards = read_source(Source(name="s", files=sys.argv[1:], format="instruction"), Path("."), Path("cache"))
    print([(shard.file, shard.rows, shard.rejected) for shard in shards])
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_bytes_where_text_is_due_are_text(data, tmp_path, kind, suffix):
    table = pa.table({"instruction": pa.array([b"caf\xc3\xa9"], kind), "output": ["o"], "image": [b"\xff"]})
    write_table(table, data / f"a.{suffix}")
    [shard] = read_source(source(files=f"a.{suffix}"), data, tmp_path / "cache")
    row = pa.ipc.open_file(shard.path).read_all().to_pylist()[0]
    assert (row["instruction"], row["meta"]) == ("café", '{"image":"ff"}')


@pytest.mark.parametrize("suffix", ["parquet", "pq", "arrow", "feather", "ipc"])
def test_a_file_of_columns_that_is_empty_or_cut_short_is_told_as_one_of_lines_is(data, tmp_path, suffix):
    write_table(pa.table({"instruction": ["q"] * 99, "output": ["o"] * 99}), data / f"cut.{suffix}")
    (data / f"cut.{suffix}").write_bytes((data / f"cut.{suffix}").read_bytes()[:-9])
    (data / f"empty.{suffix}").touch()
    (data / "cut.jsonl").write_text(f"{ROW}\n{ROW[:9]}")
    (data / "empty.jsonl").touch()
    for name, rejected, notes in (("empty", 0, {"empty_file": 1}), ("cut", 1, {"truncated_file": 1})):
        # The second time from the cache.
        for cached in (False, True):
            shards = read_source(source(files=[f"{name}.{suffix}", f"{name}.jsonl"]), data, tmp_path / "cache")
            assert [(shard.rejected, shard.notes, shard.cached) for shard in shards] == [(rejected, notes, cached)] * 2
    tables = [pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all() for shard in shards]
    [bad], [line] = sorted((table.to_pylist() for table in tables), key=lambda bad: bad[0]["file"] == "cut.jsonl")
    assert (bad["file"], bad["reason"]) == (f"cut.{suffix}", "truncated: the file ends before its footer")
    assert line["reason"].startswith("truncated: ")
    assert tables[0].schema == tables[1].schema
    assert [pa.ipc.open_file(shard.path).read_all().num_rows for shard in shards].count(0) == 1


def test_a_shard_that_ends_in_zeroes_is_read_again(data, tmp_path):
    def shards():
        return read_source(source(), data, tmp_path / "cache")

    before = [shard.path.read_bytes() for shard in shards()]
    path = shards()[0].path
    # What a power cut may leave: the length is right, the end was never written.
    path.write_bytes(before[0][:-200] + bytes(200))
    with pytest.warns(CacheWarning, match=f"{path.name} is damaged"):
        after = shards()
    assert [shard.cached for shard in after] == [False, True]
    assert [shard.path.read_bytes() for shard in after] == before


def test_a_full_disk_is_told_with_the_file(data, tmp_path):
    (data / "big.jsonl").write_text(f"{ROW}\n" * 9_000)
    code = (
        "import resource, sys; from pathlib import Path; from chaffinch.readers import read_source\n"
        "from chaffinch.recipe.source import Source\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: read_source(Source(name='s', files='big.jsonl'), Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except OSError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code, data, tmp_path / "cache"], capture_output=True, text=True)
    assert "File too large" in run.stdout, run.stderr
    assert str(tmp_path / "cache" / "read") in run.stdout


def test_bytes_that_are_no_text_and_pages_that_are_damaged_are_named_without_a_traceback(data, tmp_path):
    write_table(pa.table({"instruction": [b"\xff"], "output": ["o"]}), data / "bytes.parquet")
    write_table(pa.table({"instruction": ["q" * 9_000], "output": ["o"]}), data / "page.parquet")
    whole = (data / "page.parquet").read_bytes()
    (data / "page.parquet").write_bytes(whole[:40] + b"\xff" * 60 + whole[100:])
    for name in ("bytes.parquet", "page.parquet"):
        with pytest.raises(DataError, match=rf"{name}: [^\n]*\nhint: the file is damaged") as caught:
            read_source(source(files=name), data, tmp_path / "cache")
        assert "Traceback" not in str(caught.value)


def write_table(table: pa.Table, path: Path) -> None:
    if path.suffix in (".parquet", ".pq"):
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)


@pytest.mark.parametrize(
    ("names", "overlap"),
    [
        (["a/b:train[:10]", "a/b:train"], True),
        (["a/b:train[:10]", "a/b"], True),
        (["a/b:train[:10]", "a/b:train[5:20]"], True),
        (["a/b:train[:10]", "a/b:train[50%:]"], True),
        (["a/b:train[-10:]", "a/b:train[:10]"], True),
        (["a/b:train+test", "a/b:test"], True),
        (["a/b:train[:9]+train[8:]"], True),
        (["a/b:train[:10]", "a/b:train[10:20]", "a/b:test", "a/c:train"], False),
        (["a/b:train[:10%]", "a/b:train[10%:]"], False),
        (["a/b:train[:1]+test"], False),
        (["a/b:train", "a/b", "a/b"], False),
    ],
)
def test_slices_of_the_hub_that_may_share_rows_are_refused(data, names, overlap):
    named = source(files=[f"hf:{name}" for name in names])
    if overlap:
        with pytest.raises(RecipeError, match=r"may have rows in common.*\nhint: "):
            plan_source(named, data)
    else:
        assert len(plan_source(named, data)) == len(set(names))


def hub(tmp_path: Path, *names: str) -> str:
    # A data set of the hub is looked for in the working folder first, which stands in for the hub here.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    run = subprocess.run(
        [sys.executable, "-c", HUB, *names], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stdout
    return run.stdout


def test_hub_data_sets_come_by_split(tmp_path):
    folder = tmp_path / "org" / "set"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text(f"{ROW}\n{ROW}\n")
    (folder / "test.jsonl").write_text(f'{ROW}\n{{"instruction": "i", "output": null}}\n')
    assert hub(tmp_path, "hf:org/set").strip() == "[('hf:org/set:test', 1, 1), ('hf:org/set:train', 2, 0)]"
    assert hub(tmp_path, "hf:org/set:train").strip() == "[('hf:org/set:train', 2, 0)]"
    both = hub(tmp_path, "hf:org/set:train", "hf:org/set", "hf:org/set")
    assert both.strip() == "[('hf:org/set:train', 2, 0), ('hf:org/set:test', 1, 1)]"
    # It lies in the same file as the whole, and is another shard.
    assert hub(tmp_path, "hf:org/set:train[:1]").strip() == "[('hf:org/set:train[:1]', 1, 0)]"


def test_a_hub_out_of_reach_is_an_error_with_a_hint(tmp_path):
    assert "hint: check the name and the network" in hub(tmp_path, "hf:org/absent")


def test_importing_the_readers_loads_no_hub_library():
    code = "import sys, chaffinch.readers; print('datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_cache_that_cannot_be_written_is_an_os_error(data, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(OSError, match="cache"):
        read_source(source(), data, tmp_path / "cache")
