"""Which of base, mode, recipe and --set has the last word."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import chaffinch as cf
from chaffinch.recipe.load import load_recipe, read_yaml, shipped

BASE = """
name: base
mode: first
seed: 1
sources: [{name: a, files: x}]
modes:
  first: {seed: 2, max_bad_fraction: 0.5}
  second: {seed: 3}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def over(folder: Path, text: str, overrides: dict[str, Any] | None = None) -> tuple[int, float]:
    (folder / "own.yaml").write_text(f"base: base.yaml\nname: own\n{text}")
    recipe = load_recipe(folder / "own.yaml", overrides)
    return recipe.seed, recipe.max_bad_fraction


def test_a_recipe_has_the_last_word_over_its_bases_mode(folder: Path) -> None:
    assert over(folder, "") == (2, 0.5)
    assert over(folder, "seed: 9") == (9, 0.5)
    assert over(folder, "seed: 9\nmode: second") == (9, 0.01)
    assert over(folder, "mode: second") == (3, 0.01)


def test_a_recipes_own_mode_goes_over_its_keys_and_set_over_all(folder: Path) -> None:
    own = "seed: 9\nmodes:\n  first: {seed: 10}"
    assert over(folder, own) == (10, 0.5)
    assert over(folder, own, {"mode": "second"}) == (9, 0.01)
    assert over(folder, own, {"seed": 11}) == (11, 0.5)


@pytest.mark.parametrize("text", ["mode: [first]", "mode: third", "modes: [x]", "modes: {first: 3}"])
def test_modes_that_cannot_be_are_refused(folder: Path, text: str) -> None:
    with pytest.raises(cf.RecipeError, match="mode"):
        over(folder, text)


def test_set_finds_a_name_with_a_dot_in_a_list() -> None:
    values = {"name": "x", "sources": [{"name": "a", "files": "x"}, {"name": "a.b", "files": "x"}]}
    recipe = load_recipe(values, {"sources.a.b.optional": True})
    assert [source.optional for source in recipe.sources] == [False, True]


def test_set_means_the_same_for_a_file_and_for_a_recipe_that_was_loaded() -> None:
    overrides = {"sample.rows.lima": 5}
    assert load_recipe(load_recipe("quickstart"), overrides) == load_recipe("quickstart", overrides)


def test_the_only_step_is_set_by_its_number_too() -> None:
    assert isinstance(read_yaml(shipped()["quickstart"].read_text("utf-8"))["sample"], dict)
    by_number = load_recipe("quickstart", {"sample.0.rows.lima": 5})
    assert by_number == load_recipe("quickstart", {"sample.rows.lima": 5})
    assert by_number.sample[0].rows["lima"] == 5


def test_a_template_is_looked_for_beside_the_recipe_that_names_it(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "own.yaml").write_text("base: ../base.yaml\nname: own\nmode: second")
    (folder / "base.yaml").write_text(
        BASE.replace("second: {", "second: {format: {template: mode.yaml}, ") + "format: {template: plain.yaml}\n"
    )
    assert load_recipe(folder / "base.yaml").format.template == str(folder / "plain.yaml")
    assert Path(load_recipe(folder / "below" / "own.yaml").format.template).resolve() == folder / "mode.yaml"
    assert load_recipe(folder / "base.yaml", {"format.template": "here.yaml"}).format.template == "here.yaml"
    assert load_recipe("quickstart").format.template == "alpaca"


def test_a_base_is_looked_for_beside_its_recipe_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "own.yaml").write_text("base: base.yaml\nname: own\n")
    monkeypatch.chdir(folder)
    with pytest.raises(FileNotFoundError, match=r"no recipe file elsewhere/base\.yaml\nhint: "):
        load_recipe("elsewhere/own.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: " + "[" * 20_000 + "]" * 20_000, "nested too deeply"),
        ("a: &a {name: x}\nname: y\nsources: [{<<: *a}]", "`<<` is not read; write the keys out, or use `base:`"),
        ("name: x\nname: y", "key 'name' stands twice"),
        ("- " * 20_000, "nested too deeply"),
        ("\n".join(" " * level + "a:" for level in range(3_000)), "nested too deeply"),
        ("? [a]\n: x\n? [a]\n: y", "unhashable key"),
        ("name: x\nsources: [{name: a, files: x, optional: yes}]", "sources.0.optional"),
    ],
)
def test_yaml_that_would_do_harm_or_mean_two_things_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "own.yaml").write_text(text)
    with pytest.raises(cf.RecipeError, match=message):
        load_recipe(folder / "own.yaml")


def test_steps_are_merged_by_name_and_a_resolved_recipe_keeps_its_steps(tmp_path: Path) -> None:
    base = {"name": "x", "sources": [{"name": "a", "files": "a"}, {"name": "b", "files": "b"}]}
    base["sample"] = [{"name": "one", "rows_each": 5, "shortfall": "accept"}, {"name": "two", "fraction": 0.5}]
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "mine.yaml").write_text("base: base.yaml\nname: mine\nsample: [{name: two, fraction: 0.25}]\n")
    merged = load_recipe(tmp_path / "mine.yaml", {"sample.one.rows_each": 7})
    assert [(step.name, step.rows_each, step.fraction) for step in merged.sample] == [
        ("one", 7, None),
        ("two", None, 0.25),
    ]
    unnamed = load_recipe(base | {"sample": [{"rows_each": 5}, {"fraction": 0.5}]}).json_values()
    assert len(load_recipe(unnamed).sample) == 2
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(unnamed))
    (tmp_path / "over.yaml").write_text("base: resolved.yaml\nname: over\nsample: [{name: new, rows_each: 1}]\n")
    assert [step.name for step in load_recipe(tmp_path / "over.yaml").sample] == ["new"]
    with pytest.raises(cf.RecipeError, match="two steps are named one"):
        load_recipe(base | {"sample": [{"name": "one", "rows_each": 5}] * 2})
