"""Which of base, mode, recipe and --set has the last word."""

from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from chaffinch.recipe.load import load_recipe

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
