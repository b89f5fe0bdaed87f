import errno
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from chaffinch.cli import app
from chaffinch.cli.errors import Verbs
from chaffinch.cli.progress import BarProgress, PlainProgress, shown_progress
from chaffinch.errors import DataError, RecipeError
from tests.unit.finished import bad_row, finished_build, kept_id, kept_row, removed_row

VERBS = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
CHAFFINCH = [sys.executable, "-m", "chaffinch"]
ESCAPES = "\x1b[31m\x07\u202e\x9b2J"


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def subprocess_run(*arguments: str | Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*CHAFFINCH, *map(str, arguments)], capture_output=True, text=True, timeout=60, **more)


def acts(text: str) -> bool:
    """Whether a terminal would do anything but print."""
    return any(not character.isprintable() and character not in "\n\t" for character in text)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    kept = [kept_row(kept_id(number)) for number in range(4)]
    removed = [removed_row(kept_id(7), "dedup", "copy", witness=kept_id(1), score=0.5)]
    return finished_build(tmp_path / "out", kept, removed, [bad_row()])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"Example: chaffinch {verb}" in result.stdout


def test_the_help_lists_every_verb() -> None:
    result = subprocess_run("--help")
    assert result.returncode == 0
    assert all(f" {verb} " in result.stdout for verb in VERBS)
    assert result.stderr == ""


def test_the_version_is_printed() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("chaffinch 0.")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from chaffinch.cli import app\n"
        "try: app(['build', '--help'])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'pyarrow', 'numpy', 'jinja2', 'yaml', 'chaffinch._core', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["build"],
        ["build", "quickstart"],
        ["why", "out"],
        ["report"],
        ["why", "out", "a", "b"],
        ["diff", "out", "--fast"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("verb", ["report", "why", "diff"])
def test_a_missing_folder_is_1_with_a_hint(tmp_path: Path, verb: str) -> None:
    more = {"report": [], "why": ["a/b/1"], "diff": [str(tmp_path / "other")]}[verb]
    result = subprocess_run(verb, tmp_path / "missing", *more)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path / 'missing'} holds no finished build\nhint: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (RecipeError("unknown key\nhint: did you mean"), 2, "error: unknown key\nhint: did you mean\n"),
        (DataError("3 bad rows\nhint: mend them"), 1, "error: 3 bad rows\nhint: mend them\n"),
        (
            FileNotFoundError(2, "No such file or directory", "x\x1b[2J"),
            1,
            "error: [Errno 2] No such file or directory: 'x\\x1b[2J'\n"
            "hint: see that the path is right, and that it may be read or written\n",
        ),
        (ValueError(f"text {ESCAPES}"), 1, "error: text ␛[31m␇⟨U+202E⟩⟨U+009B⟩2J\n"),
        (ValueError(), 1, "error: ValueError\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "c/x.arrow"),
            1,
            "error: [Errno 28] No space left on device: 'c/x.arrow'\n"
            "hint: free some space; `chaffinch build --cache DIR` keeps what is read elsewhere\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_become_exit_codes(error: BaseException, code: int, text: str) -> None:
    failing = typer.Typer(cls=Verbs, pretty_exceptions_enable=False)

    @failing.callback()
    def group() -> None: ...

    @failing.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(failing, ["fail"])
    assert result.exit_code == code
    assert result.stderr == text
    assert result.stdout == ""


def test_our_own_mistakes_keep_their_traceback() -> None:
    failing = typer.Typer(cls=Verbs, pretty_exceptions_enable=False)

    @failing.callback()
    def group() -> None: ...

    @failing.command()
    def fail() -> None:
        raise AssertionError("a row vanished")

    assert isinstance(CliRunner().invoke(failing, ["fail"]).exception, AssertionError)


def test_a_closed_pipe_is_quiet(out: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        result = subprocess.run(
            [*CHAFFINCH, "why", str(out), kept_id(1)],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.returncode == errno.EPERM
    assert result.stderr == ""


def test_why_of_a_kept_row(out: Path) -> None:
    result = run("why", out, kept_id(3))
    assert result.exit_code == 0
    assert "kept          row 1 of data/train-00001-of-00002.parquet\n" in result.stdout
    assert "prompt        What is grain?\n" in result.stdout


def test_why_of_a_removed_row_and_its_witness(out: Path) -> None:
    result = run("why", out, kept_id(7))
    assert result.stdout.splitlines()[:6] == [
        f"row           {kept_id(7)}",
        "read from     source a: a/rows.jsonl",
        "passed        read, select, clean",
        "removed by    dedup: copy",
        "similarity    0.5",
        "",
    ]
    assert f"instead of it stays\nrow           {kept_id(1)}\n" in result.stdout


def test_why_as_json(out: Path) -> None:
    values = json.loads(subprocess_run("why", out, kept_id(7), "--json").stdout)
    assert (values["kept"], values["stage"], values["score"]) == (False, "dedup", 0.5)
    assert values["witness"]["values"]["response"] == "A seed."


def test_why_of_an_unknown_row_is_1(out: Path) -> None:
    result = run("why", out, f"zzzz{ESCAPES}", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "hint: " in result.stderr
    assert not acts(result.stderr)


def test_text_from_data_does_not_act_on_the_terminal(tmp_path: Path) -> None:
    text = f"[bold]not markup[/bold] :smile: {ESCAPES} \r over"
    row_id = f"a/{ESCAPES}/0123456789abcdef"
    kept = [kept_row(row_id, prompt=text, response=text, meta=text)]
    removed = [removed_row(kept_id(7), "dedup", text, witness=row_id)]
    first = finished_build(tmp_path / "first", kept, removed)
    second = finished_build(tmp_path / "second", [kept_row(kept_id(7), source=text)], recipe={"name": text})
    for arguments in (["why", first, kept_id(7)], ["why", first, row_id], ["diff", first, second]):
        for more in ([], ["--json"]):
            result = run(*arguments, *more)
            assert result.exit_code == 0, result.stderr
            assert not acts(result.stdout)
    shown = run("why", first, kept_id(7)).stdout
    assert "[bold]not markup[/bold] :smile: ␛[31m␇⟨U+202E⟩⟨U+009B⟩2J ␍ over" in shown


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out", [kept_row(kept_id(1), prompt="x" * 1_000_000)])
    shown = run("why", out, kept_id(1)).stdout
    assert "… (998,500 more characters)" in shown
    assert len(shown) < 4_000


def test_diff_shows_sources_reasons_and_keys(out: Path, tmp_path: Path) -> None:
    other = finished_build(
        tmp_path / "other",
        [kept_row(kept_id(7)), kept_row("b/task/00ff")],
        recipe={"name": "small", "seed": 8},
    )
    result = run("diff", out, other)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["in", "both", "0"] in lines
    assert ["a", "1", "4"] in lines
    assert ["gained", "1", "dedup", "copy", kept_id(7)] in lines
    assert ["gained", "1", "-", "not", "there", "before", "b/task/00ff"] in lines
    assert ["seed", "7", "8"] in lines
    assert json.loads(run("diff", out, other, "--json").stdout)["lost"]["rows"] == 4


def test_report_prints_the_path(out: Path) -> None:
    result = run("report", out)
    assert result.exit_code == 0
    assert result.stdout == f"{out / 'report.html'}\n"
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_plain_progress_writes_lines() -> None:
    stream = StringIO()
    progress = PlainProgress(stream, seconds_between_lines=0)
    progress.start("read", 3 << 20, "bytes")
    progress.advance(1 << 20)
    progress.finish(1_200, 34)
    progress.start("sample", None, "rows")
    progress.advance(1_000)
    progress.finish(1_200, 0)
    lines = [line.rsplit(", ", 1)[0] for line in stream.getvalue().splitlines()]
    assert lines == [
        "read:        1.0 MiB / 3.0 MiB",
        "read:        1,200 rows, 34 removed",
        "sample:      1,000 rows",
        "sample:      1,200 rows",
    ]


def test_plain_progress_is_quiet_while_a_stage_is_short() -> None:
    stream = StringIO()
    progress = PlainProgress(stream)
    progress.start("read", 100, "rows")
    for done in range(100):
        progress.advance(done)
    assert stream.getvalue() == ""


def test_bars_end_full_whatever_the_stage_told() -> None:
    stream = StringIO()
    bars = BarProgress(Console(file=stream, force_terminal=True, width=100))
    with bars.live:
        for total, done in ((100, 40), (0, 0), (None, 7)):
            bars.start("stage", total, "rows")
            bars.advance(done)
            bars.finish(1_200, 34)
    assert all(task.finished for task in bars.live.tasks)
    assert "1,200 rows, 34 removed" in stream.getvalue()


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as progress:
        progress.start("read", 5, "rows")
        progress.finish(5, 0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("read:        5 rows, ")
