"""How promptsource applies a template, with plain jinja2: what the sandbox must give as well."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jinja2

ESCAPED = "3ed2dface8203c4c9dfb1a5dc58e41e0"


def _most_frequent(values: list[Any]) -> list[Any]:
    counts = Counter(values)
    return [value for value, count in counts.items() if count == max(counts.values())]


ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined)
ENVIRONMENT.globals.update(zip=zip)
ENVIRONMENT.filters["most_frequent"] = _most_frequent
ENVIRONMENT.filters["choice"] = lambda values: next(iter(values))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("|||", ESCAPED)
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return {key: _escaped(one) for key, one in value.items()} if isinstance(value, dict) else value


def apply(template: str, answer_choices: str | None, example: dict[str, Any]) -> list[str]:
    """The parts that the template makes of the example."""
    fields = _escaped(example)
    choices = None
    if answer_choices is not None:
        rendered = ENVIRONMENT.from_string(answer_choices).render(**fields)
        choices = [part.strip().replace(ESCAPED, "|||") for part in rendered.split("|||")]
    rendered = ENVIRONMENT.from_string(template).render(**fields, answer_choices=choices)
    return [part.replace(ESCAPED, "|||").strip() for part in rendered.split("|||")]
