"""Pools in files: the shipped ones, those of a path, and promptsource's."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from chaffinch.errors import DataError, RecipeError
from chaffinch.pools.jinja import Jinja, RefusedError
from chaffinch.recipe.format import Pool, PoolFile, PoolTemplate, PoolUse
from chaffinch.recipe.load import read_yaml

SUFFIXES = (".yaml", ".yml")
MOST_BYTES = 64 << 20
TAGS = ("!Template", "!TemplateMetadata")


def shipped() -> dict[str, Path]:
    """The files of pools that come with the package, by name."""
    folder = Path(str(resources.files("chaffinch") / "pools" / "shipped"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(use: PoolUse) -> Pool:
    """The pool that a recipe names.

    Raises:
        RecipeError: there is none, the file has several and none is named, or it does not say what a pool must.
        OSError: the file cannot be read.
    """
    pools = {pool.name: pool for pool in read(use.file)}
    name = next(iter(pools)) if use.pool is None and len(pools) == 1 else use.pool
    if name in pools:
        _check_jinja(use.file, pools[name])
        return pools[name]
    what = "several pools" if use.pool is None else f"no pool {use.pool!r}"
    names = ", ".join([*pools][:10]) + (" ..." if len(pools) > 10 else "")
    raise RecipeError(f"{use.file} has {what}\nhint: with `pool:` choose from {names}")


def _check_jinja(file: str, pool: Pool) -> None:
    for template in pool.templates:
        try:
            if template.jinja is not None:
                Jinja(template.jinja, template.answer_choices)
        except RefusedError as error:
            raise RecipeError(f"{file}: {pool.name}: template {template.id!r}: {error}") from None


def read(name: str) -> list[Pool]:
    """All pools of a shipped file or a path.

    Raises:
        RecipeError: there is no such file, or it does not say what pools must.
        OSError: the file cannot be read.
    """
    path = Path(name)
    if not name.endswith(SUFFIXES):
        known = shipped()
        if name not in known:
            raise RecipeError(f"no pool {name!r}\nhint: choose {', '.join(known)}, or give the path of a .yaml file")
        path = known[name]
    elif not path.is_file():
        hint = f"a pool's path is relative to its recipe; the shipped ones are {', '.join(shipped())}"
        raise FileNotFoundError(f"no pool file {name}\nhint: {hint}")
    try:
        return PoolFile.model_validate({"pools": read_yaml(_text(path))}).pools
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{name}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{name} is not YAML: {' '.join(str(error).split())}") from None


@dataclass(frozen=True)
class Imported:
    """What became of promptsource's templates.

    Attributes:
        pools: one for each data set that had a template worth keeping.
        templates: how many templates they have.
        refused: file, template (empty for a whole file) and why it was not imported.
    """

    pools: list[Pool]
    templates: int
    refused: list[tuple[str, str, str]]


def import_promptsource(source: Path) -> Imported:
    """Reads promptsource's `templates.yaml`: one file, or all below a folder.

    A pool is named as promptsource names the data set (`super_glue/boolq`), a template by its name; where two have one
    name, the second bears the first eight marks of its id, too. Templates stay Jinja. Nothing in the files is run.

    Raises:
        FileNotFoundError: there is no such file or folder.
        DataError: not one template could be imported, or two files are about one data set.
    """
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}\nhint: give promptsource's templates.yaml, or its folder")
    files = sorted(path for path in source.rglob("*") if path.suffix in SUFFIXES) if source.is_dir() else [source]
    pools: dict[str, Pool] = {}
    refused: list[tuple[str, str, str]] = []
    for path in files:
        name = path.relative_to(source).as_posix() if source.is_dir() else path.name
        try:
            pool = _pool(path, name, refused)
        except (yaml.YAMLError, ValueError, TypeError, KeyError) as error:
            refused.append((name, "", f"it is no file of promptsource: {' '.join(str(error).split())[:200]}"))
            continue
        if pool is not None and pool.name in pools:
            raise DataError(f"{name}: a second file about {pool.name}\nhint: import them one by one")
        if pool is not None:
            pools[pool.name] = pool
    if not pools:
        reasons = f": {refused[0][2]}" if refused else ""
        raise DataError(
            f"{source}: no template to import{reasons}\nhint: promptsource's files are YAML with `templates:`"
        )
    return Imported([*pools.values()], sum(len(pool.templates) for pool in pools.values()), refused)


def _pool(path: Path, name: str, refused: list[tuple[str, str, str]]) -> Pool | None:
    values = read_yaml(_text(path), TAGS)
    if not isinstance(values, dict) or not isinstance(values.get("templates"), dict):
        raise TypeError("it has no `templates:`")
    parts = [str(values[key]) for key in ("dataset", "subset") if values.get(key)]
    found: dict[str, PoolTemplate] = {}
    for key, template in values["templates"].items():
        try:
            label = str(template["name"])
            label = label if label not in found else f"{label} {str(key)[:8]}"
            found[label] = _template(label, template)
        except (RefusedError, ValueError, TypeError, KeyError) as error:
            label = str(template.get("name", key)) if isinstance(template, dict) else str(key)
            refused.append((name, label, " ".join(str(error).split())[:200]))
    return Pool(name="/".join(parts) or path.parent.name, templates=[*found.values()]) if found else None


def _template(label: str, template: dict[str, Any]) -> PoolTemplate:
    text, choices = template["jinja"], template.get("answer_choices")
    if not isinstance(text, str) or not isinstance(choices, str | None):
        raise TypeError("its jinja is no text")
    if "|||" not in text:
        raise RefusedError("it has no `|||`, and so no response")
    Jinja(text, choices)
    return PoolTemplate(id=label, jinja=text, answer_choices=choices)


class _Readable(yaml.SafeDumper):
    """Texts of several lines as they read."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _represent)


def dump(pools: list[Pool]) -> str:
    """The pools as YAML that `read` reads again."""
    values = [pool.model_dump(exclude_unset=True) for pool in pools]
    return yaml.dump(values, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=10**9)


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise RecipeError(
            f"{path} has {size:,} bytes, at most {MOST_BYTES:,} are read\nhint: split it into several files"
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is no UTF-8 text: {error}") from None
