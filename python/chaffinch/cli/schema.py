"""The JSON schema of a recipe file, by which editors complete and check it."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from chaffinch.recipe.model import Recipe


class OneOrMany(GenerateJsonSchema):
    """Says of every list that a recipe may shorten to its only item that it may be so shortened."""

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        """The schema of a value that is looked at before it is checked."""
        described = super().function_before_schema(schema)
        if "json_schema_input_schema" in schema or described.get("type") != "array":
            return described
        return {"anyOf": [described, described["items"]]}


def recipe_schema() -> dict[str, Any]:
    """A resolved recipe's schema, and the keys that are gone once it is resolved."""
    schema = Recipe.model_json_schema(by_alias=True, schema_generator=OneOrMany)
    # A recipe with a base need not repeat what the base says.
    schema["anyOf"] = [{"required": schema.pop("required")}, {"required": ["base"]}]
    schema["properties"] |= {
        "base": {
            "type": "string",
            "description": "a recipe to lay this one over: a shipped name, or a file beside this one",
        },
        "modes": {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "description": "named changes to the recipe; `mode:` picks one",
        },
    }
    return schema
