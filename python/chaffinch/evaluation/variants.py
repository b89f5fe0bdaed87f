"""Questions written another way: HELM's perturbations for robustness and fairness, with small lists of our own.

Each is a pure function of a seed and a text. As in HELM, the questions alone are changed, never the shots, and what
counts is an item's worst score over the question as it is and its variants (Liang et al. 2022, sections 4.4, 4.5).
"""

import random
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from chaffinch.errors import DataError
from chaffinch.evaluation.task import Change

ROBUSTNESS = ("lowercase", "contractions", "misspellings", "spacing")
FAIRNESS = ("dialect", "gender", "names")
KINDS = {"robustness": ROBUSTNESS, "fairness": FAIRNESS}
# As in HELM: a word is misspelt this often, and so many spaces at most stand for one.
MISSPELT = 0.1
MOST_SPACES = 3
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")

Lists = Mapping[str, Mapping[str, Any]]


def change_of(name: str, seed: int, lists: Lists | None = None) -> Change:
    """The variant of this name.

    Args:
        name: of `ROBUSTNESS` or `FAIRNESS`.
        seed: what random choices depend on, besides the text.
        lists: other word lists than the package's own.

    Raises:
        ValueError: there is no such variant.
    """
    if name not in _CHANGES:
        raise ValueError(f"there is no variant {name!r}\nhint: there are {', '.join(_CHANGES)}")
    change, own = _CHANGES[name], (lists if lists is not None else read_lists(None))

    def changed(text: str) -> str:
        return change(text, random.Random(f"{seed}\n{name}\n{text}"), own)

    return changed


def read_lists(path: Path | None) -> Lists:
    """The word lists of a file, or the package's own.

    Raises:
        DataError: it is another file.
        OSError: it cannot be read.
    """
    if path is None:
        return _own_lists()
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no YAML: {error}\nhint: write it as the package's variants.yaml") from None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), dict) for name in _own_lists()):
        raise DataError(f"{path} holds no word lists\nhint: it has to have {', '.join(_own_lists())}")
    return found


@cache
def _own_lists() -> Lists:
    text = resources.files("chaffinch.evaluation").joinpath("variants.yaml").read_text("utf-8")
    lists: Lists = yaml.safe_load(text)
    return lists


def _lowercase(text: str, drawn: random.Random, lists: Lists) -> str:
    del drawn, lists
    return text.lower()


def _spacing(text: str, drawn: random.Random, lists: Lists) -> str:
    del lists
    return re.sub(" +", lambda _: " " * drawn.randint(1, MOST_SPACES), text)


def _misspellings(text: str, drawn: random.Random, lists: Lists) -> str:
    known = lists["misspellings"]

    def wrong(found: re.Match[str]) -> str:
        word = found[0]
        if word.lower() not in known or drawn.random() >= MISSPELT:
            return word
        return _as(word, drawn.choice(known[word.lower()]))

    return _WORD.sub(wrong, text)


def _words(text: str, drawn: random.Random, lists: Lists, *, name: str) -> str:
    """Every listed word or pair of words becomes what the list has for it, one of it at random."""
    known = lists[name]
    pattern = _pattern(tuple(sorted(known, key=lambda word: (-len(word), word))))

    def other(found: re.Match[str]) -> str:
        to = known[" ".join(found[0].lower().split())]
        return _as(found[0], to if isinstance(to, str) else drawn.choice(to))

    return pattern.sub(other, text)


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    either = "|".join(re.escape(word).replace(r"\ ", r" +") for word in words)
    return re.compile(rf"(?<![\w'\u2019])(?:{either})(?![\w\u2019]|'\w)", re.IGNORECASE)


def _names(text: str, drawn: random.Random, lists: Lists) -> str:
    """A name is the same other one wherever it stands, and two names are two where the list is long enough."""
    chosen: dict[str, str] = {}
    for own in lists["names"].values():
        there = [word for word in dict.fromkeys(_WORD.findall(text)) if _bare(word) in own["from"]]
        left: list[str] = []
        for name in dict.fromkeys(map(_bare, there)):
            left = left or drawn.sample(own["to"], len(own["to"]))
            chosen[name] = left.pop()
    return _WORD.sub(
        lambda found: chosen.get(_bare(found[0]), _bare(found[0])) + found[0][len(_bare(found[0])) :], text
    )


def _bare(word: str) -> str:
    """A word without the `'s` of possession."""
    return word[:-2] if word.endswith(("'s", "\u2019s")) else word


def _as(old: str, new: str) -> str:
    """The new word with the capitals of the old one."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


_CHANGES: dict[str, Callable[[str, random.Random, Lists], str]] = {
    "lowercase": _lowercase,
    "contractions": partial(_words, name="contractions"),
    "misspellings": _misspellings,
    "spacing": _spacing,
    "dialect": partial(_words, name="dialect"),
    "gender": partial(_words, name="gender"),
    "names": _names,
}
