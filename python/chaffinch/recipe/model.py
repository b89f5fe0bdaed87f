"""The recipe as a whole: its keys are the stages, in the order in which they run."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from chaffinch.recipe.bucket import Bucket
from chaffinch.recipe.clean import Clean
from chaffinch.recipe.control import Control
from chaffinch.recipe.decontaminate import Decontaminate
from chaffinch.recipe.dedup import Dedup
from chaffinch.recipe.format import Format
from chaffinch.recipe.label import Label
from chaffinch.recipe.pack import Pack
from chaffinch.recipe.provenance import Provenance
from chaffinch.recipe.sample import Sample
from chaffinch.recipe.score import Score
from chaffinch.recipe.select import SelectStep
from chaffinch.recipe.source import Source, Strict
from chaffinch.recipe.tokenize import Tokenize


def _as_steps(value: object) -> object:
    return [value] if isinstance(value, dict) else value


Steps = BeforeValidator(_as_steps)


Trainer = Literal["trl", "llama-factory", "torch", "axolotl", "alpaca", "sharegpt", "openai"]
# What each trainer takes: packs, single tokenised documents, or text.
PACKED: tuple[Trainer, ...] = ("trl", "llama-factory", "torch")
TOKENISED: tuple[Trainer, ...] = (*PACKED, "axolotl")


class Write(Strict):
    """What the mixture is written as."""

    format: Literal["parquet", "jsonl", "datasets"] = "parquet"
    rows_per_file: int = Field(default=250_000, ge=1)
    compression: Literal["zstd", "snappy", "none"] = Field(default="snappy", description="of Parquet files")
    trainer: Trainer | None = Field(default=None, description="what lies in OUT/trainer, beside the mixture")


class Recipe(Strict):
    """A mixture: where its rows come from and what each stage does with them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**64)
    mode: str | None = Field(default=None, description="one of the recipe's `modes`, already laid over it")
    max_bad_fraction: float = Field(
        default=0.01, ge=0, le=1, description="the build fails above this share of bad rows"
    )
    sources: list[Source] = Field(min_length=1)
    select: Annotated[list[SelectStep], Steps] = []
    provenance: Provenance | None = None
    clean: Clean = Clean()
    dedup: Dedup = Dedup()
    decontaminate: Decontaminate | None = None
    label: Label | None = None
    score: Score | None = None
    bucket: Bucket | None = None
    sample: Annotated[list[Sample], Steps] = []
    control: Control | None = None
    format: Format = Format()
    tokenize: Tokenize | None = None
    pack: Pack | None = None
    write: Write = Write()
    min_class_share: dict[str, float] = Field(
        default={}, description="warn when a class has a smaller share of the rows"
    )
    validation_fraction: float = Field(
        default=0.0, ge=0, lt=1, description="share of the mixture held out for validation"
    )

    @field_validator("sources")
    @classmethod
    def _names_are_unique(cls, sources: list[Source]) -> list[Source]:
        names = [source.name for source in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]}")
        return sources

    @field_validator("sample")
    @classmethod
    def _steps_have_names_of_their_own(cls, steps: list[Sample]) -> list[Sample]:
        names = [step.name for step in steps if step.name is not None]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two steps are named {twice[0]}")
        return steps

    @model_validator(mode="after")
    def _steps_name_known_sources(self) -> "Recipe":
        names = [source.name for source in self.sources]
        named = [
            *(("select.sources", step.sources) for step in self.select),
            *(("clean.lengths.sources", rule.sources) for rule in self.clean.lengths),
            *(("clean.forbid.sources", rule.sources) for rule in self.clean.forbid),
            ("provenance.except", self.provenance.except_sources if self.provenance else None),
            ("score.sources", self.score.sources if self.score else None),
            ("label.sources", self.label.sources if self.label else None),
            ("decontaminate.except", self.decontaminate.except_sources if self.decontaminate else None),
        ]
        if self.bucket is not None and (self.label is None or self.score is None):
            raise ValueError("`bucket:` sorts labelled rows by their scores\nhint: it needs `label:` and `score:`")
        for where, sources in named:
            for unknown in sorted(set(sources or []) - set(names)):
                raise ValueError(f"{where}: no source {unknown!r}\nhint: the sources are {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _trainer_gets_what_it_takes(self) -> "Recipe":
        trainer = self.write.trainer
        if trainer in TOKENISED and self.tokenize is None:
            raise ValueError(f"write.trainer: {trainer} takes tokens\nhint: add tokenize: {{tokenizer: ...}}")
        if trainer in PACKED and self.pack is None:
            raise ValueError(f"write.trainer: {trainer} takes packs\nhint: add pack: {{length: 8192}}")
        if self.pack is not None and trainer not in PACKED:
            own = {None: "", "axolotl": ": axolotl packs itself"}.get(trainer, f": {trainer} tokenises itself")
            hint = f"write.trainer is one of {', '.join(PACKED)}, or leave pack out"
            raise ValueError(f"pack: nothing takes the packs{own}\nhint: {hint}")
        if self.pack is not None and self.tokenize is not None and self.tokenize.max_length > self.pack.length:
            longer = f"documents have up to {self.tokenize.max_length:,} tokens, a pack holds {self.pack.length:,}"
            raise ValueError(f"tokenize.max_length: {longer}\nhint: at most as many as pack.length")
        if self.pack is not None and (why := self.pack.unfit_for(trainer)):
            raise ValueError(f"pack.length: {why}\nhint: choose a multiple of 8")
        return self

    @model_validator(mode="after")
    def _tokens_can_be_counted(self) -> "Recipe":
        if not self.counts_tokens():
            return self
        if self.tokenize is None:
            raise ValueError("tokens: nothing says what a token is\nhint: add tokenize: {tokenizer: ...}")
        if self.format.demonstrations is not None:
            raise ValueError(
                "tokens: which rows stand before a row is known once rows are drawn, and so is its length\n"
                "hint: ask for rows, or leave `format.demonstrations:` out"
            )
        return self

    def counts_tokens(self) -> bool:
        """Whether a step of `sample`, or `control`, asks for tokens."""
        drawn_by_control = self.control is not None and self.control.tokens is not None
        return drawn_by_control or any(step.tokens is not None for step in self.sample)

    def stages(self) -> list[str]:
        """The stages that a build runs, in order."""
        asked = {
            "select": bool(self.select),
            "provenance": self.provenance is not None,
            "clean": True,
            "dedup": bool(self.dedup.exact or self.dedup.near or self.dedup.spans),
            "decontaminate": self.decontaminate is not None,
            "label": self.label is not None,
            "score": self.score is not None,
            "bucket": self.bucket is not None,
            "count": self.counts_tokens(),
            "sample": bool(self.sample),
            "control": self.control is not None,
        }
        return [
            "read",
            *(stage for stage, there in asked.items() if there),
            "format",
            *(["tokenize"] if self.tokenize else []),
            *(["pack"] if self.pack else []),
            "write",
        ]

    def json_values(self) -> dict[str, Any]:
        """The recipe as plain JSON values, defaults included, for manifests and cache keys."""
        return self.model_dump(mode="json", by_alias=True)
