"""`chaffinch recipes`."""

from typing import Annotated

import typer

from chaffinch.cli import options


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show this recipe, resolved.", show_default=False)
    ] = None,
    overrides: options.Set = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a recipe, for editors.")] = False,
    as_json: options.Json = False,
) -> None:
    """Lists the shipped recipes, or shows one with its base, mode and defaults filled in."""
    import yaml

    from chaffinch.cli.schema import recipe_schema
    from chaffinch.cli.screen import print_json, table
    from chaffinch.recipe.load import load_recipe, parse_set, shipped
    from chaffinch.report.visible import visible

    if schema:
        print_json(recipe_schema())
    elif name is not None:
        values = load_recipe(name, parse_set(overrides or [])).json_values()
        if as_json:
            print_json(values)
            return
        typer.echo(visible(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)), nl=False)
    else:
        rows = [(known, " ".join(load_recipe(known).description.split())) for known in shipped()]
        if as_json:
            print_json({"recipes": [{"name": known, "description": makes} for known, makes in rows]})
            return
        table(["recipe", "what it makes"], rows)
