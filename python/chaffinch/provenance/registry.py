"""Loads the registry and finds data sets in it by whatever name people use."""

import difflib
from functools import cache
from importlib import resources
from typing import Any

from pydantic import Field

from chaffinch.errors import RecipeError
from chaffinch.recipe.source import Origin, RowOrigin, Strict


class RowRule(RowOrigin):
    """The origin of the rows whose own field has one of these values, and the grounds for it."""

    basis: str


class Entry(Strict):
    """What is known of one data set.

    Attributes:
        name: as its makers call it.
        aliases: other names that are looked up.
        prompt_origin: who wrote the prompts; `unknown` where nobody says.
        response_origin: who wrote the responses.
        generators: the models that did, as `maker/model`.
        construction: how it was made, in the survey's words for its own rows.
        instances: number of rows, where stated.
        languages: as stated.
        open_source: whether it can be had.
        url: where.
        citation: author and year.
        licence: None where none is stated.
        note: what else decides.
        row_rules: tell rows apart; the first rule that matches counts.
    """

    name: str
    aliases: list[str]
    prompt_origin: Origin
    response_origin: Origin
    generators: list[str]
    construction: str | None
    instances: int | None
    languages: str | None
    open_source: bool
    url: str | None
    citation: str | None
    licence: str | None
    note: str | None
    row_rules: list[RowRule] = Field(default=[])


class Addition(Entry):
    """A data set that the survey's table lacks, with the grounds for what is said of it."""

    basis: str


class Registry(Strict):
    """All known data sets.

    Attributes:
        source: what `table7` was taken from.
        table7: the survey's rows, in its order.
        additions: the others.
    """

    source: str
    table7: list[Entry] = Field(min_length=36, max_length=36)
    additions: list[Addition]

    @property
    def entries(self) -> list[Entry]:
        """The survey's rows, then the additions."""
        return [*self.table7, *self.additions]

    def lookup(self, name: str) -> Entry:
        """The data set of that name or alias; case, spaces and punctuation do not matter.

        Raises:
            RecipeError: no such data set; the hint has the nearest names.
        """
        known = {_plain(one): entry for entry in self.entries for one in (entry.name, *entry.aliases)}
        found = known.get(_plain(name))
        if found is None:
            near = [known[one].name for one in difflib.get_close_matches(_plain(name), known, n=3)]
            hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "`chaffinch sources` lists them"
            raise RecipeError(f"no data set {name!r} in the provenance registry\nhint: {hint}")
        return found

    def table(self) -> list[dict[str, Any]]:
        """One row a data set, for `chaffinch sources`.

        Returns:
            Keys name, prompt_origin, response_origin, generators (text), row_rules (number), instances,
            languages, open_source, licence, construction, url, citation, note, aliases (list), basis.
        """
        return [
            {
                "name": entry.name,
                "prompt_origin": entry.prompt_origin,
                "response_origin": entry.response_origin,
                "generators": ", ".join(entry.generators),
                "row_rules": len(entry.row_rules),
                "instances": entry.instances,
                "languages": entry.languages,
                "open_source": entry.open_source,
                "licence": entry.licence,
                "construction": entry.construction,
                "url": entry.url,
                "citation": entry.citation,
                "note": entry.note,
                "aliases": entry.aliases,
                "basis": entry.basis if isinstance(entry, Addition) else self.source,
            }
            for entry in self.entries
        ]


@cache
def registry() -> Registry:
    """The registry that comes with the package."""
    text = (resources.files("chaffinch.provenance") / "registry.json").read_text(encoding="utf-8")
    return Registry.model_validate_json(text)


def _plain(name: str) -> str:
    return "".join(mark for mark in name.casefold() if mark.isalnum())
