import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from chaffinch.cli import app
from chaffinch.recipe.load import load_recipe, shipped

MINE = """
name: mine
description: a small one
sources:
  - {name: a, files: a.jsonl}
"""


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["recipes", *(str(argument) for argument in arguments)])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE, encoding="utf-8")
    return path


def test_every_shipped_recipe_is_listed_with_what_it_makes() -> None:
    result = run()
    assert result.exit_code == 0, result.stderr
    assert "quickstart" in shipped()
    for name in shipped():
        assert any(line.startswith(f"{name} ") and len(line.split()) > 2 for line in result.stdout.splitlines())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_what_is_shown_is_the_same_recipe_again(name: str, tmp_path: Path) -> None:
    result = run(name)
    assert result.exit_code == 0, result.stderr
    saved = tmp_path / "saved.yaml"
    saved.write_text(result.stdout, encoding="utf-8")
    assert load_recipe(saved).json_values() == load_recipe(name).json_values()


def test_overrides_are_shown(mine: Path) -> None:
    values = yaml.safe_load(run(mine, "--set", "seed=9", "--set", "sources.a.optional=true").stdout)
    assert values["seed"] == 9
    assert values["sources"][0]["optional"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quikstart"], "no recipe 'quikstart'\nhint: did you mean quickstart?"),
        (["MINE", "--set", "seed"], "expected key=value\nhint: "),
        (["MINE", "--set", "seed=[1"], "the value is not YAML"),
        (["MINE", "--set", "sed=1"], "unknown key `sed`\nhint: did you mean `seed`?"),
        (["MINE", "--set", "sources.b.optional=true"], "no item 'b'\nhint: "),
        (["MINE", "--set", "description.x=1"], "is below a value that has no keys"),
    ],
)
def test_what_a_recipe_cannot_mean_is_2(mine: Path, arguments: list[str], message: str) -> None:
    result = run(*(str(mine) if argument == "MINE" else argument for argument in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


@pytest.mark.parametrize("text", ["name: [", "- a list", "\x00", "!!python/object/apply:os.getcwd []", "a: &a [*a]"])
def test_a_hostile_file_is_2_and_nothing_runs(mine: Path, text: str) -> None:
    mine.write_text(text, encoding="utf-8")
    result = run(mine)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_the_schema_knows_every_key_and_both_ways_to_write_a_list() -> None:
    schema = json.loads(run("--schema").stdout)
    assert {"base", "modes", *load_recipe("quickstart").json_values()} <= set(schema["properties"])
    files = schema["$defs"]["Source"]["properties"]["files"]["anyOf"]
    assert files == [{"items": {"type": "string"}, "type": "array"}, {"type": "string"}]
    assert schema["additionalProperties"] is False
    assert {"required": ["base"]} in schema["anyOf"]


def test_json_lists_and_shows_recipes() -> None:
    listed = json.loads(run("--json").stdout)["recipes"]
    assert [recipe["name"] for recipe in listed] == list(shipped())
    assert all(recipe["description"] for recipe in listed)
    shown = json.loads(run("demo", "--set", "seed=7", "--json").stdout)
    assert shown == load_recipe("demo", {"seed": 7}).json_values()


def test_every_recipe_that_is_near_is_named() -> None:
    assert "hint: did you mean birbal-200k or birbal-400k or birbal-700k?" in run("birbal").stderr
