"""What a recipe says about a model's few-shot answers and how they are measured."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator

from chaffinch.recipe.source import Strict, Texts


class Nearest(Strict):
    """No model: the answer of the most similar of the prompt's candidates, by BM25."""

    kind: Literal["nearest"] = "nearest"


class Transformers(Strict):
    """A causal language model, run here."""

    kind: Literal["transformers"] = "transformers"
    model: str = Field(min_length=1, description="a folder, or the name of a model of the hub")
    revision: str | None = Field(default=None, description="of a model of the hub: branch, tag or commit")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="auto: the model's own"
    )
    load_in_4bit: StrictBool = Field(default=False, description="NF4 weights, by bitsandbytes")
    device: str = Field(default="auto", description="auto: a GPU where there is one; else `cpu`, `cuda:1`")
    batch_tokens: StrictInt = Field(default=16_384, ge=1, description="prompt, padding and answer of a whole batch")


class Served(Strict):
    """A model behind a server with OpenAI's interface, such as vLLM's."""

    kind: Literal["openai"] = "openai"
    address: str = Field(pattern=r"^https?://\S+$", description="up to `/v1`: http://localhost:8000/v1")
    model: str = Field(min_length=1, description="as the server names it")
    revision: str | None = Field(default=None, description="tells apart what the server has under one name over time")
    endpoint: Literal["completions", "chat"] = Field(default="completions", description="chat: one user turn")
    concurrency: StrictInt = Field(default=16, ge=1, le=1024, description="questions under way at once")
    api_key_from: str | None = Field(default=None, description="the environment variable that holds the key")
    timeout: float = Field(default=120, gt=0, description="seconds for one answer, its last byte included")
    attempts: StrictInt = Field(default=6, ge=1, description="for one answer, with growing pauses between")


def _kind(value: object) -> object:
    """`nearest` is short for `{kind: nearest}`; a model without a kind is run by transformers."""
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, Mapping) and "kind" not in value:
        return {"kind": "openai" if "address" in value else "transformers", **value}
    return value


Answerer = Annotated[Nearest | Transformers | Served, Field(discriminator="kind"), BeforeValidator(_kind)]


class Prompt(Strict):
    """How a row becomes a question: a template, the task's definition, and solved cases of the same task."""

    template: Literal["alpaca"] = "alpaca"
    demonstrations: StrictInt = Field(default=4, ge=0, le=64)
    take: Literal["examples", "rows"] = Field(
        default="examples",
        description="from the task's positive examples, then its other rows; or from its other rows alone",
    )
    max_characters: StrictInt = Field(
        default=10_000, ge=1, description="of the whole prompt: demonstrations that do not fit are left out"
    )


class ExactMatch(Strict):
    """Right or wrong: the answer equals any of the references."""

    normal_form: Literal["none", "squad", "numeric"] = "none"


class Generation(Strict):
    """How much of the best reference the answer has: ROUGE F1, the highest over the references.

    An empty side is replaced by the other, so that it counts as equal.
    """

    metric: str = Field(default="rougeL", pattern=r"^rouge([1-9]|L|Lsum)$")
    compat: Literal["rouge==1.0.1", "rouge-score==0.1.2"] = "rouge==1.0.1"
    normal_form: Annotated[
        list[Literal["strip", "lowercase", "no-full-stops"]],
        BeforeValidator(lambda value: [] if value == "none" else [value] if isinstance(value, str) else value),
    ] = Field(default=["strip", "lowercase", "no-full-stops"], description="strip: the answer alone")

    @model_validator(mode="after")
    def _is_of_the_package(self) -> Self:
        if self.compat == "rouge==1.0.1" and self.metric[5:] not in ("1", "2", "3", "4", "5", "L"):
            raise ValueError(f"{self.compat} has no {self.metric}\nhint: rouge1 to rouge5 or rougeL")
        return self


class Score(Strict):
    """Asks a model about rows, with solved cases of the same task before each, and measures its answers."""

    sources: Annotated[Texts, Field(min_length=1)] = Field(description="whose rows are asked about")
    answerer: Answerer = Field(default=Nearest(), description="`nearest`, or `kind:` and what it needs")
    prompt: Prompt = Prompt()
    max_new_tokens: StrictInt = Field(default=128, ge=1)
    ends_at: str = Field(default="\n\n", min_length=1, description="the answer is the text before it")
    exact_match: ExactMatch = ExactMatch()
    generation: Generation = Generation()

    def beside_answerer(self) -> dict[str, Any]:
        """All but who answers, as JSON values: how fast or from where a model answers changes no answer."""
        return self.model_dump(mode="json", exclude={"answerer"})
