"""The rules by which a text shows that a model wrote it, and how a recipe or a caller names them."""

import difflib
import itertools
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import Field

from chaffinch.errors import RecipeError
from chaffinch.recipe.source import Strict

ALL = "all"
_GROUP = re.compile(r"\(([^()]*\|[^()]*)\)")


class TraceRule(Strict):
    """One rule; `traces.yaml` says what its keys mean."""

    id: str
    family: str
    says: str
    part: Literal["prompt", "response", "both"]
    place: Literal["anywhere", "start", "whole"] = "anywhere"
    quoted: bool = False
    phrases: list[str] = Field(min_length=1)
    then: list[str] = Field(default=[])
    not_after: list[str] = Field(default=[])
    not_before: list[str] = Field(default=[])
    matches: list[str] = Field(min_length=1)
    passes: list[str] = Field(min_length=1)

    def spelt_out(self) -> tuple[list[str], list[str]]:
        """`phrases` and `then` without their groups, with either apostrophe: what is searched for."""
        return _spelt_out(self.phrases), _spelt_out(self.then)


class _File(Strict):
    rules: list[TraceRule]


@cache
def trace_rules() -> dict[str, TraceRule]:
    """The rules that come with the package, by id, in their order."""
    text = (resources.files("chaffinch.provenance") / "traces.yaml").read_text(encoding="utf-8")
    return {rule.id: rule for rule in _File.model_validate(yaml.safe_load(text)).rules}


def families() -> list[str]:
    """The families of the rules, in order."""
    return list(dict.fromkeys(rule.family for rule in trace_rules().values()))


def named(name: str) -> list[str]:
    """The ids of the rules that a name stands for: a rule's own, a family's, or `all`.

    Raises:
        RecipeError: no such rule or family; the hint has the nearest names.
    """
    rules = trace_rules()
    if name in rules:
        return [name]
    found = [rule.id for rule in rules.values() if name in (rule.family, ALL)]
    if not found:
        near = difflib.get_close_matches(name, [ALL, *families(), *rules], n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`chaffinch sources --traces` lists them"
        raise RecipeError(f"no rule or family of traces {name!r}\nhint: {hint}")
    return found


def chosen(names: Iterable[str] | None) -> list[TraceRule]:
    """The rules of these names, or all, in their order.

    Raises:
        RecipeError: no such rule or family.
    """
    wanted = {rule for name in ([ALL] if names is None else names) for rule in named(name)}
    return [rule for rule in trace_rules().values() if rule.id in wanted]


def _spelt_out(phrases: list[str]) -> list[str]:
    found = set()
    for phrase in phrases:
        # Odd parts are what stands within a group's parentheses.
        parts = [part.split("|") if at % 2 else [part] for at, part in enumerate(_GROUP.split(phrase))]
        for choice in map("".join, itertools.product(*parts)):
            found |= {choice, choice.replace("'", "\u2019")}
    return sorted(found)
