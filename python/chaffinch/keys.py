"""Under which key the cache keeps a stage's decisions: the hash of all that they depend on."""

from pathlib import Path
from typing import Any

from chaffinch import cache, evaluation_sets, readers, score
from chaffinch.provenance import registry
from chaffinch.provenance.traces import chosen
from chaffinch.recipe.format import Template
from chaffinch.recipe.model import Recipe
from chaffinch.stages import format as formatting
from chaffinch.stages import label, select, tokenize

# Raise it when any stage comes to decide otherwise: decisions kept by older versions are then taken again.
DECISIONS_VERSION = 6


def kept_decisions(
    recipe: Recipe,
    shards: list[readers.Shard],
    data: Path,
    folder: Path,
    tokenizer: tokenize.Tokenizer | None = None,
) -> dict[str, Path]:
    """By choosing stage, where the cache `folder` keeps its decisions: under the hash of all that they depend on."""
    template, words = formatting.template_of(recipe.format), _words(recipe)
    more: dict[str, Any] = {
        "select": select.task_files(recipe.select, data),
        "provenance": [
            registry().model_dump(mode="json"),
            *(source.model_dump(mode="json") for source in recipe.sources),
            *(
                rule.model_dump(mode="json")
                for rule in chosen(recipe.provenance.actions() if recipe.provenance else [])
            ),
        ],
        "clean": _of_turns(template),
        "dedup": [source.name for source in recipe.sources],
        "decontaminate": [
            evaluation_sets.state(one) for one in evaluation_sets.find_all(recipe.decontaminate, data)[0]
        ],
        "score": [recipe.seed, score.identity(recipe.score, folder)] if recipe.score else None,
        "label": label.known_labels(recipe.label, data) if recipe.label else None,
        "bucket": None,
        "sample": recipe.seed,
        "control": recipe.seed,
    }
    if tokenizer is not None:
        more |= {"count": [tokenizer.key(), words], "tokenize": [tokenizer.key(), words]}
    elif recipe.format.marks is not None:
        more["format"] = [template.marks if template else None, words]
    key = cache.key_of(DECISIONS_VERSION, [shard.path.name for shard in shards])
    paths = {}
    for name in recipe.stages():
        if name in more:
            part = _json(getattr(recipe, "tokenize" if name == "count" else name))
            if name == "score" and recipe.score:
                part = recipe.score.beside_answerer()
            key = cache.key_of(key, name, part, more[name])
            paths[name] = decisions_folder(folder) / f"{key}.arrow"
    return paths


def decisions_folder(folder: Path) -> Path:
    """Where in a cache folder decisions lie."""
    return folder / "decisions"


def _json(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_json(item) for item in spec]
    return spec.model_dump(mode="json")


def _of_turns(template: Template | None) -> Any:
    """Of a template, what conversations it can write."""
    return template and [sorted(template.turns), template.alternate, template.system_in_user, template.system is None]


def _words(recipe: Recipe) -> Any:
    """What rows are put in besides their own words, and what decides it."""
    spec = recipe.format
    pools = [[use.model_dump(mode="json"), pool.model_dump(mode="json")] for use, pool in formatting.load_pools(spec)]
    shown = spec.demonstrations and [spec.demonstrations.model_dump(mode="json"), recipe.validation_fraction]
    return [pools, shown, spec.conversations, recipe.clean.turns, recipe.seed] if pools or spec.conversations else None
