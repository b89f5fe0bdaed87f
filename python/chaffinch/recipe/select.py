"""What a recipe says about choosing rows by what they are."""

from pydantic import Field, model_validator

from chaffinch.recipe.source import Strict, Texts


class TaskFile(Strict):
    """A list of task names in a file, one a line, under the data folder."""

    file: str


class SelectStep(Strict):
    """Conditions that the rows of the named sources must all meet; rows of other sources pass."""

    sources: Texts | None = Field(default=None, description="the sources it applies to; default all")
    tasks: Texts | TaskFile | None = Field(default=None, description="names or globs, or `file:` with one a line")
    not_tasks: Texts | TaskFile = []
    categories: Texts | None = None
    not_categories: Texts = []
    languages: Texts | None = None
    not_languages: Texts = []
    licences: Texts | None = None
    not_licences: Texts = []
    where: dict[str, Texts] = Field(default={}, description="a field of the source's own -> the values to keep")

    compare: TaskFile | None = Field(
        default=None, description="a list that the tasks chosen are held against: precision and recall in the report"
    )

    @model_validator(mode="after")
    def _says_something(self) -> "SelectStep":
        if not self.model_fields_set - {"sources", "compare"}:
            raise ValueError("a select step needs a condition, such as tasks: or not_categories:")
        return self
