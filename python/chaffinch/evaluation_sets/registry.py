"""The evaluation sets that are known by name."""

import difflib
import json
from functools import cache
from importlib import resources

from pydantic import Field

from chaffinch.errors import RecipeError
from chaffinch.recipe.source import Strict


class Split(Strict):
    """One split.

    Attributes:
        name: as its makers call it.
        default: whether the set's name alone means this split too: test and validation, never train.
        hub: what the hub calls it, where it is there.
        files: patterns under the data folder.
    """

    name: str
    default: bool
    hub: str | None = None
    files: list[str] = Field(default=[])


class Entry(Strict):
    """One evaluation set.

    Attributes:
        name: the one to write.
        title: as its makers call it.
        aliases: other names that are looked up.
        hub: org/name or org/name/config on the hub.
        question: alternatives; of the first whose fields a file has, the texts are joined with a space.
        choices: the same of the choices: fields that are a text, a list of texts, or an object of them.
        answer: the same of the answer.
        rows: the key of a JSON object that has the rows, where it has.
        until: the question ends at the last occurrence of this text.
        headerless: what the columns of CSV files without a header are.
        note: what else to know.
        splits: at least one.
    """

    name: str
    title: str
    aliases: list[str] = Field(default=[])
    hub: str | None = None
    question: list[list[str]]
    choices: list[list[str]] = Field(default=[])
    answer: list[list[str]] = Field(default=[])
    rows: str | None = None
    until: str | None = None
    headerless: list[str] = Field(default=[])
    note: str | None = None
    splits: list[Split]


@cache
def known() -> dict[str, Entry]:
    """All entries by name."""
    text = resources.files("chaffinch.evaluation_sets").joinpath("registry.json").read_text("utf-8")
    return {entry["name"]: Entry.model_validate(entry) for entry in json.loads(text)}


def lookup(name: str) -> list[tuple[Entry, Split]] | None:
    """The splits that `NAME` or `NAME/SPLIT` means; None when no set has the name.

    Raises:
        RecipeError: the set has no such split, or none that its name alone could mean.
    """
    set_name, _, split_name = name.partition("/")
    names = {_plain(other): entry for entry in known().values() for other in (entry.title, *entry.aliases, entry.name)}
    entry = names.get(_plain(set_name))
    if entry is None:
        return None
    splits = [split for split in entry.splits if (split.name == split_name if split_name else split.default)]
    if not splits:
        there = ", ".join(f"{entry.name}/{split.name}" for split in entry.splits)
        what = f"no split {split_name!r}" if split_name else "only splits that have to be named"
        raise RecipeError(f"evaluation set {entry.name} has {what}\nhint: there is {there}")
    return [(entry, split) for split in splits]


def nearest(name: str) -> str:
    """Names like this one, for a hint."""
    near = difflib.get_close_matches(_plain(name.partition("/")[0]), known(), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? " if near else ""


def _plain(name: str) -> str:
    return "".join(mark for mark in name.lower() if mark.isalnum() or mark == "+")
