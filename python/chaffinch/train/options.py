"""Every number of a training run, and the presets that are papers' own."""

import difflib
import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, StrictBool, StrictInt, ValidationError, model_validator

from chaffinch.errors import RecipeError
from chaffinch.recipe.load import SUFFIX, merge, read_yaml
from chaffinch.recipe.source import Strict

Share = Annotated[float, Field(ge=0, lt=1)]


class Options(Strict):
    """A training run, whole: presets give every value, and any can be overridden."""

    preset: str = Field(description="whose values these are, but for what was overridden")
    mode: str | None = Field(default=None, description="one of the preset's: what paper and published code have apart")
    model: str = Field(min_length=1, description="the base model: a folder, or the name of a model of the hub")
    revision: str | None = Field(default=None, description="of a model of the hub: branch, tag or commit")

    template: str = Field(description="how rows are written: a template's name, a .yaml file, or `tokenizer`")
    length: StrictInt = Field(ge=2, lt=2**31, description="tokens of a pack, and of a document at most")
    packing: StrictBool = Field(description="a row of the batch is a pack of documents; false: it is one document")
    too_long: Literal["drop", "truncate", "split"] = Field(description="what becomes of longer documents")
    train_on: Literal["responses", "all"] = Field(description="what has labels")
    validation_rows: StrictInt | None = Field(ge=1, description="rows of the validation split, at most; null: all")

    load_in_4bit: StrictBool = Field(description="NF4 weights of the base model, by bitsandbytes")
    double_quantisation: StrictBool = Field(description="of the constants of NF4, too")
    dtype: Literal["bfloat16", "float32"] = Field(description="of the base model's weights and of the computation")
    attention: Literal["chaffinch", "flash_attention_2", "flex_attention", "sdpa", "eager"] = Field(
        default="chaffinch", description="chaffinch: document by document, by torch's varlen_attn on a GPU"
    )

    lora_rank: StrictInt = Field(ge=1)
    lora_alpha: float = Field(gt=0)
    lora_dropout: Share
    lora_targets: list[str] = Field(min_length=1, description="names of the projections that are adapted")

    neftune_alpha: float | None = Field(gt=0, description="noise on the embeddings: alpha / sqrt(L * d); null: none")
    neftune_length: Literal["packed", "document"] = Field(
        description="L: `length`, as of a padded row; or the tokens of the token's own document"
    )

    epochs: float = Field(gt=0)
    micro_batch: StrictInt = Field(ge=1, description="rows of one pass forward and back on one GPU")
    gradient_accumulation: StrictInt = Field(ge=1, description="passes of one step")
    learning_rate: float = Field(gt=0)
    schedule: Literal["cosine", "linear", "constant"] = Field(description="behind the warm-up, to 0 at the last step")
    warmup_steps: StrictInt | None = Field(default=None, ge=0, description="steps in which the rate grows from 0")
    warmup_ratio: Share | None = Field(default=None, description="the same, as a share of all steps, rounded up")
    weight_decay: float = Field(ge=0)
    max_grad_norm: float = Field(gt=0, description="gradients are scaled down to this norm")
    optimizer: str = Field(description="by transformers' name: paged_adamw_32bit, adamw_torch")
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_epsilon: float = Field(default=1e-8, gt=0)
    activation_checkpointing: StrictBool = Field(description="activations are computed again on the way back")
    loss_chunk: StrictInt = Field(default=1024, ge=1, description="labels whose logits are in memory at a time")

    eval_steps: StrictInt = Field(ge=1, description="steps between two evaluations; a multiple of save_steps")
    save_steps: StrictInt = Field(ge=1, description="steps between two checkpoints")
    keep_checkpoints: StrictInt = Field(ge=2, description="the last ones, and always the best")
    logging_steps: StrictInt = Field(default=1, ge=1, description="steps of one line of log.jsonl")
    report_to: list[str] = Field(default=[], description="as transformers has it: tensorboard, wandb")
    seed: StrictInt = Field(default=42, ge=0, lt=2**32, description="of adapter, order, noise and dropout")

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if (self.warmup_steps is None) == (self.warmup_ratio is None):
            raise ValueError("give warmup_steps or warmup_ratio, and null for the other")
        return self

    @model_validator(mode="after")
    def _the_best_is_kept(self) -> Self:
        if self.eval_steps % self.save_steps:
            raise ValueError(
                f"eval_steps {self.eval_steps}: not every evaluated step would have a checkpoint\n"
                f"hint: a multiple of save_steps, {self.save_steps}"
            )
        return self

    def warmup(self, steps: int) -> int:
        """Steps of the warm-up of a run of so many."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        assert self.warmup_ratio is not None
        return math.ceil(steps * self.warmup_ratio)


def presets() -> dict[str, Path]:
    """The shipped presets, by name."""
    folder = Path(str(resources.files("chaffinch") / "train" / "presets"))
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def resolve(preset: str, overrides: Mapping[str, Any] | None = None) -> Options:
    """Gives all options of a run.

    Args:
        preset: a shipped name, or a .yaml file with the same keys.
        overrides: over the preset's values; `mode` chooses one of its modes, `warmup_steps` puts out `warmup_ratio`
            and the other way round.

    Raises:
        RecipeError: no such preset, mode or key (with the nearest right one), or a value that cannot be.
    """
    values, given = _read(preset), dict(overrides or {})
    modes = values.pop("modes", {})
    mode = given.get("mode", values.get("mode"))
    if modes and mode not in modes:
        raise RecipeError(f"{preset}: mode is {mode!r}\nhint: this preset has {' or '.join(modes)}")
    values = merge(values, modes.get(mode) or {})
    for one, other in (("warmup_steps", "warmup_ratio"), ("warmup_ratio", "warmup_steps")):
        if given.get(one) is not None and other not in given:
            given[other] = None
    known = list(Options.model_fields)
    for key in [*values, *given]:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the keys are {', '.join(known)}"
            raise RecipeError(f"{preset}: unknown key `{key}`\nhint: {hint}")
    try:
        return Options.model_validate(values | given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        lines = first["msg"].removeprefix("Value error, ").split("\n")
        if len(lines) == 1 and first["loc"]:
            key = str(first["loc"][0])
            lines[0] += "" if first["type"] == "missing" else f": {first['input']!r}"
            lines.append(f"hint: {_example(key)}")
        raise RecipeError("\n".join([": ".join(filter(None, [preset, where, lines[0]])), *lines[1:]])) from None


def _example(key: str) -> str:
    shown = {name: resolve(name).model_dump()[key] for name in presets()}
    return ", ".join(f"{name} has {key}={json.dumps(value)}" for name, value in shown.items())


def _read(preset: str) -> dict[str, Any]:
    known = presets()
    path = known.get(preset)
    if path is None and preset.endswith((SUFFIX, ".yml")):
        path = Path(preset)
    if path is None or not path.is_file():
        near = difflib.get_close_matches(preset, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}; or give a .yaml file"
        raise RecipeError(f"no preset {preset!r}\nhint: {hint}")
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = f"{path} is not YAML: {' '.join(str(error).split())}"
        raise RecipeError(f"{told}\nhint: the presets {' and '.join(known)} show how") from None
    if not isinstance(values, dict) or not isinstance(values.get("modes", {}), dict):
        raise RecipeError(
            f"{path}: a preset is a mapping of keys, and its modes are mappings\nhint: {', '.join(known)} show how"
        )
    return values
