"""Which files a source has."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath

from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.source import Source

HUB = "hf:"
PACKED = (".gz", ".zst")
DELIMITED = (".csv", ".tsv")
COLUMNAR = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
TEXT = (".json", ".jsonl", ".ndjson", ".txt", ".story", *DELIMITED)

# One row per file or folder: a shard of its own for each would be mostly overhead.
APPS = ("apps", "apps-solutions")
GROUPED = ("cnn-stories", "text", *APPS)


@dataclass(frozen=True)
class Input:
    """One input of a source, which becomes one shard.

    Attributes:
        file: path relative to the data folder with forward slashes, or `hf:...`.
        members: the files to read, in order; several only where each holds one row; none for hub data sets.
        bytes: size of the members together; 0 for hub data sets.
    """

    file: str
    members: tuple[Path, ...]
    bytes: int

    @property
    def suffix(self) -> str:
        """What the name says of the format, in lower case: `.json` for `a.JSON.gz`."""
        return PurePosixPath(self._unpacked).suffix.lower()

    @property
    def stem(self) -> str:
        """The name without folder, packing and format: `task1.x` for `b/task1.x.json.gz`."""
        name = PurePosixPath(self._unpacked).name
        suffix = self.suffix
        return name[: -len(suffix)] if suffix in TEXT + COLUMNAR else name

    @property
    def _unpacked(self) -> str:
        return next((self.file[: -len(end)] for end in PACKED if self.file.lower().endswith(end)), self.file)


def check_data(data: Path) -> None:
    """Fails before anything is written when the data folder is not there.

    Raises:
        FileNotFoundError: naming it.
    """
    if not data.is_dir():
        raise FileNotFoundError(
            f"no data folder {data}\nhint: --data names the folder that the recipe's files are under"
        )


def plan_source(source: Source, data: Path) -> list[Input]:
    """The inputs of a source in the order in which they are read. Looks at names and sizes only.

    Args:
        source: what the recipe says.
        data: the data folder; patterns are relative to it.

    Returns:
        One input per file, hub data set, or (for GROUPED) folder; none only for an optional
        source.

    Raises:
        DataError: a pattern matches nothing and the source is not optional.
        RecipeError: a pattern points outside the data folder, or two slices of a hub data set may overlap.
    """
    excluded = {file for pattern in source.exclude for file in _match(pattern, data, source, apps=False)}
    found: set[str] = set()
    _check_slices(source)
    hub = [Input(pattern, (), 0) for pattern in dict.fromkeys(source.files) if pattern.startswith(HUB)]
    for pattern in source.files:
        if pattern.startswith(HUB):
            continue
        matches = _match(pattern, data, source, apps=source.format in APPS) - excluded
        if not matches and not source.optional:
            message = f"source {source.name}: no file under {data} matches {pattern!r}"
            raise DataError(f"{message}\nhint: {_nearest(pattern, data)}")
        found |= matches
    files = sorted(found)
    for file in files:
        if file != file.encode(errors="replace").decode():
            message = f"source {source.name}: the name {file!a} is no Unicode text"
            raise DataError(f"{message}\nhint: rename the file, or leave it out with exclude")
    if source.format in GROUPED:
        return [*_grouped(files, data, source.format), *hub]
    return [*(Input(file, (data / file,), (data / file).stat().st_size) for file in files), *hub]


def _check_slices(source: Source) -> None:
    """Refuses slices of a hub data set that may have rows in common: these would count twice.

    Whole splits and data sets may be named together: a split is read once.
    """
    parts = []
    for name in dict.fromkeys(source.files):
        path, _, splits = name.removeprefix(HUB).partition(":")
        if name.startswith(HUB):
            parts += [(name, path, part.partition("[")) for part in splits.split("+")]
    for (name, path, (split, bracket, rows)), (
        other,
        other_path,
        (other_split, other_bracket, other_rows),
    ) in combinations(parts, 2):
        plain = not any(mark in name + other for mark in "[+")
        same = path == other_path and (split == other_split or not split or not other_split)
        if same and not plain and not _disjoint(bracket + rows, other_bracket + other_rows):
            message = f"source {source.name}: {name} and {other} may have rows in common, which would count twice"
            raise RecipeError(f"{message}\nhint: name the whole split, or slices that do not overlap")


def _disjoint(one: str, other: str) -> bool:
    """Whether two slices such as `[:10%]` and `[10%:]` surely have no row in common."""
    ends = []
    for part in (one, other):
        found = re.fullmatch(r"\[(\d*)(%?):(\d*)(%?)\]", part)
        if not found:
            return False
        start, start_unit, end, end_unit = found.groups()
        ends.append(
            (int(start or 0), float(end or "inf"), {start_unit if start else end_unit, end_unit if end else start_unit})
        )
    (start, end, units), (other_start, other_end, other_units) = ends
    return units == other_units and len(units) == 1 and (end <= other_start or other_end <= start)


def check_inside(path: str, where: str) -> None:
    """Refuses a path or pattern that could lead out of the data folder.

    Raises:
        RecipeError: it is empty, absolute or goes upwards.
    """
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts:
        hint = "patterns are relative to the data folder (--data)"
        raise RecipeError(f"{where}: {path!r} names nothing inside the data folder\nhint: {hint}")


def _match(pattern: str, data: Path, source: Source, *, apps: bool) -> set[str]:
    """Matching files, relative to `data`; a folder stands for the data files below it."""
    parts = PurePosixPath(pattern)
    check_inside(pattern, f"source {source.name}")
    hidden = any(part.startswith(".") for part in parts.parts)
    try:
        paths = list(data.glob(pattern)) if parts.parts else [data]
    except ValueError as error:
        message = f"source {source.name}: {pattern!r} is no pattern: {error}"
        raise RecipeError(f"{message}\nhint: `**` has to stand alone between slashes") from None
    matches = set()
    for path in paths:
        relative = path.relative_to(data)
        name = relative.as_posix()
        if path.is_symlink() and _leads_back(path):
            continue
        if not hidden and any(part.startswith(".") for part in relative.parts):
            continue
        if path.is_file():
            if not apps:
                matches.add(name)
        elif apps:
            problems = path.rglob("question.txt")
            matches |= {problem.parent.relative_to(data).as_posix() for problem in problems}
        else:
            files = (file for file in path.rglob("*") if file.is_file() and _is_data(file))
            matches |= {file.relative_to(data).as_posix() for file in files}
    return matches


def _leads_back(link: Path) -> bool:
    """Whether a link leads to a folder around it, by which every file there would come again, or to itself."""
    try:
        return link.parent.resolve().is_relative_to(link.resolve())
    except RuntimeError:
        return True


def _is_data(path: Path) -> bool:
    return Input(path.name, (), 0).suffix in TEXT + COLUMNAR and not path.name.startswith(".")


def _grouped(files: Iterable[str], data: Path, kind: str) -> list[Input]:
    """Story files or problem folders by the folder they lie in."""
    folders: dict[str, list[Path]] = {}
    for file in files:
        path = data / file
        members = sorted(part for part in path.iterdir() if part.is_file()) if kind in APPS else [path]
        folders.setdefault(PurePosixPath(file).parent.as_posix(), []).extend(members)
    return [
        Input(folder, tuple(members), sum(member.stat().st_size for member in members))
        for folder, members in sorted(folders.items())
    ]


def _nearest(pattern: str, data: Path) -> str:
    """Names near the first part of the pattern that matches nothing."""
    if not data.is_dir():
        return f"the data folder {data} does not exist"
    folder, parts = data, PurePosixPath(pattern).parts
    for part in parts:
        if (folder / part).exists():
            folder = folder / part
            continue
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        near = difflib.get_close_matches(part, names, n=3, cutoff=0.5) or names[:5]
        place = "the data folder" if folder == data else str(folder)
        return f"{place} has {', '.join(near)}" if near else f"{place} is empty"
    return "every matching file is excluded"
