"""What a recipe says about one source of rows."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator


class Strict(BaseModel):
    """A part of a recipe: unknown keys are refused and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_as_list)]

Origin = Literal["human", "model", "unknown"]

Format = Literal[
    "auto",
    "instruction",
    "conversation",
    "natural-instructions",
    "cnn-stories",
    "text",
    "apps",
    "apps-solutions",
    "quac",
    "openbookqa",
]


class Fields(Strict):
    """Where each column comes from, by the source's own names; the first name that a row has is taken."""

    instruction: Texts | None = None
    input: Texts | None = None
    output: Texts | None = None
    messages: Texts | None = None
    task: Texts | None = None
    category: Texts | None = None
    language: Texts | None = None
    licence: Texts | None = None


class RowOrigin(Strict):
    """Sets the origin of the rows whose own field has one of these values."""

    field: str
    values: Texts
    prompt: Origin | None = None
    response: Origin | None = None
    generator: str | None = None


class Edit(Strict):
    """A named change of the text itself, made while reading; counted in the manifest."""

    name: Literal["strip-suffix", "blank", "lowercase-input", "mathinstruct-reasoning"]
    field: Literal["instruction", "input", "output"] | None = Field(
        default=None, description="default: input for blank and lowercase-input, else output"
    )
    values: Texts = Field(default=[], description="the suffixes, or the texts that mean empty")
    fraction: float = Field(default=1.0, ge=0, le=1, description="share of the rows, by keyed hash (lowercase-input)")

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.fraction != 1 and self.name != "lowercase-input":
            raise ValueError(f"`fraction:` goes with lowercase-input, and {self.name} edits every row")
        if (self.name in ("strip-suffix", "blank")) != bool(self.values):
            raise ValueError("strip-suffix and blank need `values:`, and no other edit takes them")
        return self


class Source(Strict):
    """One source: its files, how to read them, and what is known of them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    files: Annotated[Texts, Field(min_length=1)] = Field(
        description="paths or globs under --data, or hf:org/name[/config][:split]"
    )
    exclude: Texts = Field(default=[], description="globs under --data to leave out")
    optional: StrictBool = Field(default=False, description="no matching file is a warning, not an error")
    format: Format = "auto"
    fields: Fields = Fields()
    columns: list[str] | None = Field(default=None, description="names, when a CSV or TSV has no header")
    delimiter: str | None = Field(default=None, description="default: comma, tab for .tsv")
    quoting: StrictBool | None = Field(
        default=None,
        description="whether quotes enclose cells; default: yes, but not in tab-separated files",
    )
    instruction: str | None = Field(default=None, description="instruction of the rows that have none")
    task: str | None = Field(
        default=None, description="`file`: the file's stem; else a fixed name; default the source's name"
    )
    category: str | None = None
    language: str | None = None
    licence: str | None = None
    task_table: str | None = Field(
        default=None,
        description="a JSON array (task, category, input_language, output_language) that fills gaps",
    )
    edits: list[Edit] = []
    row_class: str | None = Field(default=None, alias="class", description="as the report and min_class_share count it")
    registry: str | None = Field(default=None, description="name of the data set in `chaffinch sources`")
    prompt_origin: Origin | None = None
    response_origin: Origin | None = None
    generator: str | None = None
    row_origins: list[RowOrigin] = []
