"""`chaffinch sources`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaffinch.cli import options

if TYPE_CHECKING:
    from chaffinch.provenance import Entry
    from chaffinch.provenance.traces import TraceRule

COLUMNS = ["name", "prompt_origin", "response_origin", "generators", "instances", "licence"]


def sources(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Show all that is known of this data set.", show_default=False),
    ] = None,
    traces: Annotated[
        bool,
        typer.Option(
            "--traces",
            help="List the rules for traces of a model in the text instead; NAME is a rule or family, as in "
            "`chaffinch sources --traces refusal`.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Lists who wrote the prompts and responses of known data sets."""
    from chaffinch.cli.screen import facts, print_json, table
    from chaffinch.provenance import registry

    if traces:
        _list_traces(name, as_json)
        return
    known = registry()
    if name is not None:
        entry = known.lookup(name)
        if as_json:
            print_json(entry.model_dump(mode="json"))
        else:
            facts(_lines(entry))
        return
    rows = known.table()
    if as_json:
        # One object, as every verb prints, with the rows of the table in it.
        print_json({"source": known.source, "sources": rows})
        return
    headings = [column.replace("_origin", "s by") for column in COLUMNS]
    table(headings, ([_shown(row[column]) for column in COLUMNS] for row in rows), numbers=[4])


def _list_traces(name: str | None, as_json: bool) -> None:
    from chaffinch.cli.screen import facts, print_json, table
    from chaffinch.provenance.traces import chosen

    rules = chosen(None if name is None else [name])
    if as_json:
        print_json({"traces": [rule.model_dump(mode="json") for rule in rules]})
    elif len(rules) == 1:
        facts(_rule_lines(rules[0]))
    else:
        rows = ([rule.id, rule.family, rule.part, rule.says] for rule in rules)
        table(["rule", "family", "reads", "a match says that"], rows)


def _rule_lines(rule: "TraceRule") -> list[tuple[str, object]]:
    values = rule.model_dump(mode="json")
    lists = ("phrases", "then", "not_after", "not_before", "matches", "passes")
    lines = [(key.replace("_", " "), value) for key, value in values.items() if key not in lists]
    return [*lines, *((key.replace("_", " "), text) for key in lists for text in values[key])]


def _shown(value: Any) -> Any:
    return "-" if value in (None, "", []) else value


def _lines(entry: "Entry") -> list[tuple[str, object]]:
    values = entry.model_dump(mode="json")
    rules = values.pop("row_rules")
    shown = {key: ", ".join(value) if isinstance(value, list) else value for key, value in values.items()}
    lines = [(key.replace("_origin", "s by").replace("_", " "), _shown(value)) for key, value in shown.items()]
    return [*lines, *(("row rule", _rule(rule)) for rule in rules)]


def _rule(rule: dict[str, Any]) -> str:
    origins = ", ".join(f"{part}s by {rule[part]}" for part in ("prompt", "response") if rule[part])
    return f"{rule['field']} is {' or '.join(rule['values'])}: {origins}\n{rule['basis']}"
