"""Questions written another way: HELM's perturbations for robustness and fairness, with small lists of our own.

Each is a pure function of a seed and an item. As in HELM, shots are never changed, fairness changes the answers of an
item with its question, and what counts is an item's worst score over the question as it is and its variants
(Liang et al. 2022, sections 4.4, 4.5; crfm-helm's `metric.py`).
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from chaffinch.errors import DataError
from chaffinch.evaluation.task import Change
from chaffinch.recipe.source import Strict

ROBUSTNESS = ("lowercase", "contractions", "misspellings", "spacing")
FAIRNESS = ("dialect", "gender", "names")
# What worst scores are over. Those of HELM are what its runs with `data_augmentation=canonical` have.
KINDS = {
    "robustness": ROBUSTNESS,
    "fairness": FAIRNESS,
    "helm-robustness": ("mild-mix",),
    "helm-fairness": ("dialect", "pronouns", "names"),
}
HELM = ("helm-robustness", "helm-fairness")
# As in HELM: a word is misspelt this often, and so many spaces at most stand for one.
MISSPELT = 0.1
MOST_SPACES = 3
PRONOUNS = ("he", "him", "his", "himself")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")

Lists = Mapping[str, Mapping[str, Any]]
_Others = Annotated[list[str], Field(min_length=1)]


class _Names(Strict):
    names: list[str] = Field(alias="from")
    to: _Others


class _Lists(Strict):
    contractions: dict[str, str | _Others]
    misspellings: dict[str, _Others]
    dialect: dict[str, str | _Others]
    gender: dict[str, str | _Others]
    names: dict[str, _Names]


def change_of(name: str, seed: int, lists: Lists | None = None) -> Change:
    """The variant of this name.

    Args:
        name: of `KINDS`.
        seed: what random choices depend on, besides the text.
        lists: other word lists than the package's own.

    Raises:
        ValueError: there is no such variant.
    """
    if name not in _CHANGES:
        raise ValueError(f"there is no variant {name!r}\nhint: there are {', '.join((*KINDS, 'helm', *_CHANGES))}")
    change, own = _CHANGES[name], (lists if lists is not None else read_lists(None))

    def changed(texts: Sequence[str]) -> list[str]:
        return change(texts, random.Random(f"{seed}\n{name}\n{texts[0]}"), own)

    return Change(changed, answers=name in (*FAIRNESS, *KINDS["helm-fairness"]))


def named(given: Sequence[str]) -> list[str]:
    """The variants that are meant by names of variants, kinds and `helm`."""
    kinds = [kind for name in given for kind in (HELM if name == "helm" else (name,))]
    return list(dict.fromkeys(name for kind in kinds for name in KINDS.get(kind, (kind,))))


def worst_over(asked: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of what worst scores are made: each kind that was asked as a whole, and each variant of no such kind."""
    whole = {kind: names for kind, names in KINDS.items() if set(names) <= set(asked)}
    within = {name for names in whole.values() for name in names}
    return whole | {name: (name,) for name in asked if name not in within}


def read_lists(path: Path | None) -> Lists:
    """The word lists of a file, or the package's own.

    Raises:
        DataError: it is another file.
        OSError: it cannot be read.
    """
    if path is None:
        return _own_lists()
    if not path.is_file():
        raise FileNotFoundError(f"no file of word lists {path}\nhint: write one as the package's variants.yaml")
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no YAML: {error}\nhint: write it as the package's variants.yaml") from None
    try:
        lists = _Lists.model_validate(found).model_dump(by_alias=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise DataError(
            f"{path} holds no word lists: {where}: {first['msg']}\n"
            f"hint: it has to have {', '.join(_own_lists())}, as the package's variants.yaml"
        ) from None
    for name in ("contractions", "misspellings", "dialect", "gender"):
        lists[name] = {word.lower(): to for word, to in lists[name].items()}
    return lists


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


def _words(
    text: str, drawn: random.Random, lists: Lists, *, name: str, only: tuple[str, ...] = (), behind: str = ""
) -> str:
    """Every listed word or pair of words becomes what the list has for it, one of it at random."""
    known = {word: to for word, to in lists[name].items() if not only or word in only}
    pattern = _pattern(tuple(sorted(known, key=lambda word: (-len(word), word))), behind)

    def other(found: re.Match[str]) -> str:
        to = known[" ".join(found[0].lower().split())]
        return _as(found[0], to if isinstance(to, str) else drawn.choice(to))

    return pattern.sub(other, text)


# As in HELM, nothing is contracted but before a space: what it is.
_contractions = partial(_words, name="contractions", behind="(?= )")


@cache
def _pattern(words: tuple[str, ...], behind: str) -> re.Pattern[str]:
    either = "|".join(re.escape(word).replace(r"\ ", r" +") for word in words) or "(?!)"
    return re.compile(rf"(?<![\w'\u2019])(?:{either})(?![\w\u2019]|'\w){behind}", re.IGNORECASE)


def _mild_mix(text: str, drawn: random.Random, lists: Lists) -> str:
    """All four for robustness, in HELM's order."""
    for change in (_lowercase, _contractions, _misspellings, _spacing):
        text = change(text, drawn, lists)
    return text


def _names(texts: Sequence[str], drawn: random.Random, lists: Lists) -> list[str]:
    """A name is the same other one wherever it stands, and two names are two where the list is long enough."""
    chosen: dict[str, str] = {}
    for own in lists["names"].values():
        there = [word for text in texts for word in _WORD.findall(text) if _bare(word) in own["from"]]
        left: list[str] = []
        for name in dict.fromkeys(map(_bare, there)):
            left = left or drawn.sample(own["to"], len(own["to"]))
            chosen[name] = left.pop()

    def other(found: re.Match[str]) -> str:
        name = _bare(found[0])
        return chosen.get(name, name) + found[0][len(name) :]

    return [_WORD.sub(other, text) for text in texts]


def _bare(word: str) -> str:
    """A word without the `'s` of possession."""
    return word[:-2] if word.endswith(("'s", "\u2019s")) else word


def _as(old: str, new: str) -> str:
    """The new word with the capitals of the old one."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _each(
    change: Callable[[str, random.Random, Lists], str],
) -> Callable[[Sequence[str], random.Random, Lists], list[str]]:
    return lambda texts, drawn, lists: [change(text, drawn, lists) for text in texts]


_CHANGES: dict[str, Callable[[Sequence[str], random.Random, Lists], list[str]]] = {
    "lowercase": _each(_lowercase),
    "contractions": _each(_contractions),
    "misspellings": _each(_misspellings),
    "spacing": _each(_spacing),
    "mild-mix": _each(_mild_mix),
    "dialect": _each(partial(_words, name="dialect")),
    "gender": _each(partial(_words, name="gender")),
    "pronouns": _each(partial(_words, name="gender", only=PRONOUNS)),
    "names": _names,
}
