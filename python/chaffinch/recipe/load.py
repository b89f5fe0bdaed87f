"""From a YAML file, a shipped name or a dict to a checked recipe."""

import difflib
import re
from collections.abc import Hashable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeGuard

import yaml
from pydantic import BaseModel, ValidationError

from chaffinch.errors import RecipeError
from chaffinch.recipe.model import Recipe, Steps

SUFFIX = ".yaml"


class _Strict(yaml.constructor.SafeConstructor):
    """No key twice, and no merge key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                raise yaml.constructor.ConstructorError(
                    None, None, "`<<` is not read; write the keys out, or use `base:`", key_node.start_mark
                )
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
            keys |= {key} if isinstance(key, Hashable) else set()
        return super().construct_mapping(node, deep)


class _Yaml(_Strict, yaml.SafeLoader):
    """YAML 1.2's booleans, so that the keys `on:` and `no:` are text."""


# Where PyYAML was built with libyaml, that parses five times as fast.
class _FastYaml(_Strict, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same."""


# libyaml's binding takes the stack of the process for deep nesting, and ends it; PyYAML's own tells.
FAST_DEPTH = 1000

# A merge of merges can stand for more keys than there is memory.
_MERGE = "tag:yaml.org,2002:merge"
_BOOLEAN = "tag:yaml.org,2002:bool"
for _loader in (_Yaml, _FastYaml):
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_implicit_resolver(_BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read_yaml(text: str, mappings: Sequence[str] = ()) -> Any:
    """Plain values from YAML text.

    Args:
        text: the YAML.
        mappings: tags that stand for plain mappings.

    Raises:
        yaml.YAMLError: it is not YAML, nested too deeply, or a mapping has a key twice or a merge key.
    """
    # A level costs a bracket, or a column of its line.
    depth = text.count("[") + text.count("{") + max(map(len, text.splitlines()), default=0)
    loader = _FastYaml if depth < FAST_DEPTH else _Yaml

    class Tagged(loader):  # type: ignore[misc, valid-type]
        """This call's own: constructors are a class's."""

    for tag in mappings:
        Tagged.add_constructor(tag, lambda made, node: made.construct_mapping(node, deep=True))
    try:
        return yaml.load(text, Tagged if mappings else loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("chaffinch") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def load_recipe(
    recipe: "str | Path | Mapping[str, Any] | Recipe", overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """Resolves and checks a recipe.

    Args:
        recipe: a shipped name, the path of a YAML file, a mapping with the same keys, or a recipe.
        overrides: dotted keys and their values, as `--set` takes them: `{"sample.rows.lima": 500}`. A list's item is
            named by its number or its `name`.

    Raises:
        RecipeError: unknown recipe or key (with the nearest right one), or a value that cannot be.
        OSError: the file cannot be read.
    """
    if isinstance(recipe, Recipe):
        if not overrides:
            return recipe
        recipe = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    origin = "the recipe" if isinstance(recipe, Mapping) else str(recipe)
    values = dict(recipe) if isinstance(recipe, Mapping) else _read(recipe)
    layers = _layers(values, origin, seen=[origin])
    mode = next((layer["mode"] for layer in reversed(layers) if layer.get("mode") is not None), None)
    mode = (overrides or {}).get("mode", mode)
    known = {name: None for layer in layers for name in layer.get("modes") or {}}
    # A resolved recipe has its mode laid over it already and no modes left: it must load again as it is.
    if mode is not None and mode not in [*known] and (known or "mode" in (overrides or {})):
        raise RecipeError(f"{origin}: mode is {mode!r}\nhint: this recipe has {_or(known)}")
    values = {}
    for layer in layers:
        # A recipe's own keys go over its base's mode, and under its own.
        modes = layer.pop("modes", None) or {}
        values = merge(merge(values, layer), (modes.get(mode) or {}) if known and mode is not None else {})
    for key, value in (overrides or {}).items():
        path = key.split(".")
        field = Recipe.model_fields.get(path[0])
        if path[1:2] == ["0"] and field and Steps in field.metadata and isinstance(values.get(path[0]), Mapping):
            # One step may be written without its list, and is shown as a list of one.
            del path[1]
        values = _set(values, path, value, key)
    return _check(values, origin)


def _check(values: Mapping[str, Any], origin: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = _keys_at(Recipe, first["loc"][:-1])
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the keys here are {', '.join(known)}"
            raise RecipeError(f"{origin}: unknown key `{where}`\nhint: {hint}") from None
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        lines = message.split("\n")
        raise RecipeError("\n".join([": ".join(filter(None, [origin, where, lines[0]])) + more, *lines[1:]])) from None


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the part of the recipe at `location` may have, through lists, unions and optional parts."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        inner = [
            field.annotation
            for one in models
            for name, field in one.model_fields.items()
            if part in (name, field.alias)
        ]
        models = [found for annotation in inner for found in _models_in(annotation)] or models
    return sorted({field.alias or name for one in models for name, field in one.model_fields.items()})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in _models_in(argument)]


def _read(recipe: str | Path) -> dict[str, Any]:
    path = Path(recipe)
    if path.suffix not in {SUFFIX, ".yml"} and not path.is_file():
        known = shipped()
        if str(recipe) not in known:
            near = difflib.get_close_matches(str(recipe), known, n=3)
            hint = (
                f"did you mean {' or '.join(sorted(near))}?"
                if near
                else f"shipped recipes are {', '.join(known)}; or give a .yaml file"
            )
            raise RecipeError(f"no recipe {str(recipe)!r}\nhint: {hint}")
        path = known[str(recipe)]
    if not path.is_file():
        hint = "`chaffinch recipes` lists the shipped ones; a base is looked for beside its recipe"
        raise FileNotFoundError(f"no recipe file {path}\nhint: {hint}")
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, this is {type(values).__name__}")
    return values


def _layers(values: dict[str, Any], origin: str, seen: list[str]) -> list[dict[str, Any]]:
    """The recipe and what it is laid over, the lowest base first; each with its own modes."""
    base = values.pop("base", None)
    modes = values.get("modes") or {}
    if not isinstance(modes, Mapping) or not all(isinstance(mode, Mapping | None) for mode in modes.values()):
        raise RecipeError(f"{origin}: modes: expected a mapping of names to changes")
    folder = Path(origin).parent
    values = _anchored(values, folder)
    values |= {"modes": {name: _anchored(mode or {}, folder) for name, mode in modes.items()}} if modes else {}
    if base is None:
        return [values]
    base = folder / base if str(base).endswith((SUFFIX, ".yml")) else base
    if str(base) in seen:
        raise RecipeError(f"{origin}: base {base} leads back to itself: {' -> '.join([*seen, str(base)])}")
    return [*_layers(_read(base), str(base), [*seen, str(base)]), values]


def _anchored(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same values, with the files of templates and tokenizer named from where the recipe lies."""
    spec = values.get("tokenize")
    tokenizer = spec.get("tokenizer") if isinstance(spec, Mapping) else None
    # Otherwise it is the id of a model.
    if isinstance(spec, Mapping) and isinstance(tokenizer, str) and (folder / tokenizer).exists():
        values = {**values, "tokenize": {**spec, "tokenizer": str(folder / tokenizer)}}
    spec = values.get("format")
    if not isinstance(spec, Mapping):
        return dict(values)
    anchored = dict(spec)
    if "template" in spec:
        anchored["template"] = _beside(spec["template"], folder)
    if isinstance(pools := spec.get("pools"), list):
        anchored["pools"] = [
            {**use, "file": _beside(use["file"], folder)} if isinstance(use, Mapping) and "file" in use else use
            for use in pools
        ]
    return {**values, "format": anchored}


def _beside(name: Any, folder: Path) -> Any:
    return str(folder / name) if isinstance(name, str) and name.endswith((SUFFIX, ".yml")) else name


def merge(base: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """Lays `delta` over `base`: mappings key by key, lists of named items by name, everything else replaced."""
    merged = dict(base)
    for key, value in delta.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        elif _is_named(below) and _is_named(value):
            names = {item["name"]: item for item in below}
            for item in value:
                names[item["name"]] = merge(names.get(item["name"], {}), item)
            merged[key] = list(names.values())
        else:
            merged[key] = value
    return merged


def _is_named(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, Mapping) and item.get("name") is not None for item in value)
    )


def _set(values: Any, path: list[str], value: Any, key: str) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(values, list):
        # The longest name first: one may itself hold a dot.
        for length in range(len(path), 0, -1):
            for index, item in enumerate(values):
                named = isinstance(item, Mapping) and item.get("name") == ".".join(path[:length])
                if named or (length == 1 and str(index) == head):
                    return [*values[:index], _set(item, path[length:], value, key), *values[index + 1 :]]
        if len(values) == 1 and isinstance(values[0], Mapping) and "name" not in values[0]:
            # A step of its own may be written without the list, and is a list once the recipe was checked.
            return [_set(values[0], path, value, key)]
        raise RecipeError(f"--set {key}: no item {head!r}\nhint: name it by its number or its `name`")
    if values is not None and not isinstance(values, Mapping):
        raise RecipeError(f"--set {key}: {head!r} is below a value that has no keys")
    below = dict(values or {})
    # A name may itself hold a dot (`openbookqa.v1`): take the longest key there is.
    for length in range(len(path), 1, -1):
        joined = ".".join(path[:length])
        if joined in below:
            head, rest = joined, path[length:]
            break
    below[head] = _set(below.get(head), rest, value, key)
    return below


def _or(names: Mapping[str, Any]) -> str:
    return " or ".join(names) or "no modes"


def parse_set(pairs: list[str]) -> dict[str, Any]:
    """`key=value` pairs of the command line to overrides; the values are YAML."""
    overrides = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not re.fullmatch(r"[^.\s][^\s]*", key):
            raise RecipeError(f"--set {pair}: expected key=value\nhint: --set sample.rows.lima=500")
        try:
            overrides[key] = read_yaml(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {pair}: the value is not YAML: {' '.join(str(error).split())}") from None
    return overrides
