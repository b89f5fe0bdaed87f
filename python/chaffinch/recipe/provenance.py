"""What a recipe says about who may have written its rows."""

from typing import Literal, Self

from pydantic import Field, model_validator

from chaffinch.provenance.traces import ALL, named, trace_rules
from chaffinch.recipe.source import Strict, Texts

Action = Literal["flag", "remove", "origin", "ignore"]


class Provenance(Strict):
    """Refuses rows by where their prompt or response comes from, and by what their text says of it."""

    deny: list[Literal["prompt", "response"]] = Field(
        default=[], description="the parts of a row that a model must not have written"
    )
    unknown: Literal["allow", "deny"] = Field(
        default="deny", description="what becomes of a row when nobody says who wrote such a part"
    )
    except_sources: Texts = Field(default=[], alias="except", description="sources that are let through")
    traces: dict[str, Action] = Field(
        default={},
        description="what becomes of rows with a trace of a model in their text, by rule, family or `all`",
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        for name in self.traces:
            named(name)
        if not self.deny and not self.traces:
            raise ValueError("it needs at least 1 item in `deny` or in `traces`")
        return self

    def actions(self) -> dict[str, Action]:
        """What becomes of the rows with a trace, by the rule's id, for the rules that are asked for, in their order."""
        actions: dict[str, Action] = {}
        for rule in trace_rules().values():
            asked = [self.traces[name] for name in (rule.id, rule.family, ALL) if name in self.traces]
            if asked and asked[0] != "ignore":
                actions[rule.id] = asked[0]
        return actions
