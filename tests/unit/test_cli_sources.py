import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from chaffinch.cli import app
from chaffinch.provenance import registry


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_data_set_is_listed() -> None:
    result = run("sources")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 2 + len(registry().entries)
    assert lines[0].split("  ")[0] == "name"
    lima = next(line for line in lines if line.startswith("LIMA "))
    assert lima.split()[1:3] == ["human", "human"]


def test_the_list_as_json_has_every_column() -> None:
    values = json.loads(run("sources", "--json").stdout)
    assert values["sources"] == registry().table()


def test_one_data_set_with_its_row_rules() -> None:
    shown = run("sources", "math instruct").stdout
    assert shown.startswith("name          MathInstruct\n")
    assert "\nopen source   yes\n" in shown
    assert shown.count("row rule ") == len(registry().lookup("MathInstruct").row_rules) > 0
    assert json.loads(run("sources", "MathInstruct", "--json").stdout)["name"] == "MathInstruct"


def test_an_unknown_data_set_is_2_with_the_nearest() -> None:
    result = run("sources", "LYMA")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "hint: did you mean LIMA" in result.stderr


def test_synth_makes_a_corpus_and_says_what_is_in_it(tmp_path: Path) -> None:
    result = run("synth", "--out", tmp_path / "corpus", "--rows", 300, "--json")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["total"]["rows"] == 300
    truth = json.loads((tmp_path / "corpus" / "truth.json").read_text(encoding="utf-8"))
    assert values["total"] == truth["total"]
    assert "\nrows          300\n" in run("synth", "--out", tmp_path / "corpus", "--rows", 300).stdout


def test_synth_refuses_what_it_cannot_make(tmp_path: Path) -> None:
    assert run("synth", "--out", tmp_path / "corpus", "--rows", 0).exit_code == 2
    result = run("synth", "--out", tmp_path / "corpus", "--profile", "dmeo")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no profile 'dmeo'\nhint: the profiles are demo" in result.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    result = run("synth", "--out", tmp_path / "full", "--rows", 300)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "hint: name a folder that does not exist" in result.stderr
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
