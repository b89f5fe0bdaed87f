"""The whole story of one row: where it was read, what it passed, where it went and why."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from chaffinch.errors import DataError
from chaffinch.output import WORK
from chaffinch.readers.source import SHARDS
from chaffinch.report.folder import Folder
from chaffinch.store import ADDED, hash_prefixes

ADDED_COLUMNS = [*ADDED]
LEDGER_COLUMNS = ["row_id", "source", "stage", "reason", "witness", "score", "evidence", *ADDED_COLUMNS]
SHOWN_COLUMNS = [
    "task",
    "class",
    "category",
    "language",
    "licence",
    "prompt_origin",
    "response_origin",
    "generator",
    "traces",
    *ADDED_COLUMNS,
    "meta",
]
TEXT_COLUMNS = ["prompt", "response"]
MOST_WITNESSES = 8
NEAR = 5
FLAGGED_COLUMNS = ["reason", "witness", "similarity"]
EVIDENCE_COLUMNS = ["evaluation_set", "item", "matched_words", "coverage", "text"]


@dataclass(frozen=True)
class Story:
    """What happened to one row.

    Attributes:
        row_id: the row's full id.
        source: the source that it was read from.
        files: the files of that source.
        input_file, input_position: the one of them that holds the row, and where: `line 12` counts from 1, `element 3`
            of an array or table from 0. None when the cache that holds what was read is gone or elsewhere.
        kept: whether the row is in the mixture.
        passed: the stages that it passed, in order.
        stage, reason: where and why it was removed; None when it was kept.
        score: the similarity or score that decided, where there is one.
        evidence: what of the row's text decided, where there is something.
        file, index: the mixture's file that holds the row, and its 0-based place there; None when removed.
        values: the row's columns; of a removed row, only what the manifest keeps as an example.
        contamination: for each evaluation set of which the row holds an item: evaluation_set, item, matched_words,
            coverage and the text that matches.
        flagged: the rules that found the row and left it: reason, witness (the id of the row that it is like) and
            similarity.
        witness: the story of the row that stays instead of this one, where there is one.
    """

    row_id: str
    source: str
    files: list[str]
    kept: bool
    passed: list[str]
    input_file: str | None = None
    input_position: str | None = None
    stage: str | None = None
    reason: str | None = None
    score: float | None = None
    evidence: str | None = None
    file: str | None = None
    index: int | None = None
    values: dict[str, str | None] = field(default_factory=dict)
    contamination: list[dict[str, Any]] = field(default_factory=list)
    flagged: list[dict[str, Any]] = field(default_factory=list)
    witness: "Story | None" = None

    def to_dict(self) -> dict[str, Any]:
        """The story as JSON values."""
        return asdict(self)


def why(out: str | Path, row_id: str, *, cache: str | Path | None = None) -> Story:
    """Tells what happened to a row of a build, and to the rows that it went in favour of.

    Args:
        out: the output folder of a finished build.
        row_id: the row's id, or a beginning of it that no other row has.
        cache: the build's `cache`; `OUT/.chaffinch` when None.

    Raises:
        DataError: no build, no such row (the hint names the nearest ids), or several rows whose ids begin so.
    """
    folder = Folder(out)
    shards = (Path(cache) if cache else folder.path / WORK) / SHARDS
    return _story(folder, shards, _resolve(folder, row_id), seen=[])


def _story(folder: Folder, shards: Path, row_id: str, seen: list[str]) -> Story:
    stages = [stage["stage"] for stage in folder.stages]
    place = _place(folder, row_id)
    if place is not None:
        file, index, values = place
        source = values.pop("source") or _source_of(row_id)
        read_from = _read_from(folder, shards, row_id)
        return Story(
            row_id,
            source,
            _files(folder, source),
            True,
            stages,
            *read_from,
            file=file,
            index=index,
            values=values,
            contamination=_contamination(folder, row_id),
            flagged=_flagged(folder, row_id),
        )
    removed = _removal(folder, row_id)
    if removed is None:
        raise DataError(f"{folder.path}: row {row_id} is neither in the mixture nor in the ledger\nhint: build again")
    stage, source, witness_id = removed["stage"], removed["source"], removed["witness"]
    passed = stages[: stages.index(stage)] if stage in stages else []
    # A witness may itself have gone later, in favour of another; a circle or too long a chain ends here.
    follow = witness_id is not None and witness_id not in [*seen, row_id] and len(seen) < MOST_WITNESSES
    witness = _story(folder, shards, witness_id, [*seen, row_id]) if follow else None
    return Story(
        row_id,
        source,
        _files(folder, source),
        False,
        passed,
        *_read_from(folder, shards, row_id),
        stage=stage,
        reason=removed["reason"],
        score=removed["score"],
        evidence=removed.get("evidence"),
        values=_told(removed, ADDED_COLUMNS) | _example(folder, row_id),
        contamination=_contamination(folder, row_id),
        flagged=_flagged(folder, row_id),
        witness=witness,
    )


def _source_of(row_id: str) -> str:
    return row_id.split("/", 1)[0]


def _files(folder: Folder, source: str) -> list[str]:
    return [file["file"] for file in folder.manifest.get("inputs") or [] if file.get("source") == source]


def _read_from(folder: Folder, shards: Path, row_id: str) -> tuple[str | None, str | None]:
    """The input with the row and its place there: of identical rows, the second one read is copy `.2`."""
    digits, _, copy = row_id.rsplit("/", 1)[-1].partition(".")
    before = int(copy or 1) - 1
    for file in folder.manifest.get("inputs") or []:
        if file["source"] != _source_of(row_id) or not file["rows"]:
            continue
        path = shards / file.get("shard", "")
        if not path.is_file():
            return None, None
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (pa.ArrowException, OSError):
            # Damaged is as good as gone: the next build reads the input again.
            return None, None
        prefixes = [hash_prefixes(chunk) for chunk in table["row_hash"].chunks]
        found = np.flatnonzero(np.concatenate(prefixes) == np.uint64(int(digits, 16)))
        if before < len(found):
            position = table["position"][int(found[before])].as_py()
            kind = "element" if _is_array(folder, file, table["position"]) else "line"
            return file["file"], f"{kind} {position}"
        before -= len(found)
    return None, None


def _is_array(folder: Folder, file: dict[str, Any], positions: Any) -> bool:
    """Whether the positions of an input count elements from 0: its first is then a row or in quarantine."""
    if pc.min(positions).as_py() == 0:
        return True
    mine = (ds.field("source") == file["source"]) & (ds.field("file") == file["file"])
    return any(
        pointer.startswith("/")
        for batch in folder.quarantine(["pointer"], mine)
        for pointer in batch.column(0).to_pylist()
    )


def _place(folder: Folder, row_id: str) -> tuple[str, int, dict[str, str | None]] | None:
    """The mixture's file with the row, its place there and its columns."""
    current, before = None, 0
    for path, batch in folder.mixture(["row_id"]):
        current, before = (current, before) if path == current else (path, 0)
        within = pc.index(batch.column(0), pa.scalar(row_id, batch.schema.field(0).type)).as_py()
        if within >= 0:
            return str(path.relative_to(folder.path)), before + within, _row(folder, path, before + within)
        before += len(batch)
    return None


def _row(folder: Folder, path: Path, index: int) -> dict[str, str | None]:
    before = 0
    for batch in folder.file_batches(path, ["source", *SHOWN_COLUMNS, *TEXT_COLUMNS]):
        if index < before + len(batch):
            return _told(batch.slice(index - before, 1).to_pylist()[0], batch.schema.names)
        before += len(batch)
    raise DataError(f"{path}: changed while it was read\nhint: try again")


def _told(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str | None]:
    """The values that there are, as text."""
    found = {name: row.get(name) for name in names}
    return {
        name: f"{value:.6g}" if isinstance(value, float) else value
        for name, value in found.items()
        if value is not None
    }


def _removal(folder: Folder, row_id: str) -> dict[str, Any] | None:
    for batch in folder.ledger(LEDGER_COLUMNS, ds.field("row_id") == row_id):
        for row in batch.to_pylist():
            return dict(row)
    return None


def _contamination(folder: Folder, row_id: str) -> list[dict[str, Any]]:
    batches = folder.contamination(EVIDENCE_COLUMNS, ds.field("row_id") == row_id)
    return [dict(row) for batch in batches for row in batch.to_pylist()]


def _flagged(folder: Folder, row_id: str) -> list[dict[str, Any]]:
    batches = folder.flagged(FLAGGED_COLUMNS, ds.field("row_id") == row_id)
    return [dict(row) for batch in batches for row in batch.to_pylist()]


def _example(folder: Folder, row_id: str) -> dict[str, str | None]:
    """A removed row's texts, if the manifest has the row as an example: the mixture does not hold them."""
    for reasons in (folder.manifest.get("examples") or {}).values():
        for rows in reasons.values():
            for row in rows:
                if row.get("row_id") == row_id:
                    return {name: row[name] for name in TEXT_COLUMNS if row.get(name) is not None}
    return {}


def _resolve(folder: Folder, row_id: str) -> str:
    """The one id that is `row_id` or begins with it."""
    found: list[str] = []
    if row_id:
        for ids in _ids(folder):
            matching = pc.filter(ids, pc.starts_with(ids, row_id))
            if len(matching):
                if pc.index(matching, pa.scalar(row_id, matching.type)).as_py() >= 0:
                    return row_id
                found += matching.slice(0, NEAR + 1).to_pylist()
    # The copies of a row (`.2`, `.3`) begin with its id; asking for the row means the row.
    found = sorted(found)
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"several rows begin with {row_id!r}\nhint: they are {_listed(found)}")
    raise DataError(f"no row {row_id!r} in {folder.path}\nhint: {_hint(folder, row_id)}")


def _ids(folder: Folder) -> Iterator[Any]:
    for _, batch in folder.mixture(["row_id"]):
        yield batch.column(0)
    for batch in folder.ledger(["row_id"]):
        yield batch.column(0)


def _hint(folder: Folder, row_id: str) -> str:
    near = _near(folder, row_id)
    if near:
        return f"did you mean {_listed(near)}?"
    sources = list(folder.manifest.get("sources") or {})
    likely = difflib.get_close_matches(_source_of(row_id), sources, n=1)
    if likely and likely[0] != _source_of(row_id):
        return f"there is no source {_source_of(row_id)!r}; did you mean {likely[0]!r}?"
    return (
        "ids look like source/task/0123456789abcdef; a row that could not be read has none, it is in quarantine.parquet"
    )


def _near(folder: Folder, row_id: str) -> list[str]:
    """Ids with this one inside them, else those that share its longest beginning."""
    inside: list[str] = []
    parts = row_id.split("/")
    beginnings = [row_id[:-cut] for cut in (1, 2, 4, 8) if len(row_id) - cut > 4]
    beginnings += ["/".join(parts[:length]) + "/" for length in range(len(parts) - 1, 1, -1)]
    shared: dict[str, list[str]] = {beginning: [] for beginning in beginnings}
    for ids in _ids(folder):
        if len(row_id) >= 4 and len(inside) < NEAR:
            inside += pc.filter(ids, pc.match_substring(ids, row_id, ignore_case=True)).slice(0, NEAR).to_pylist()
        for beginning, found in shared.items():
            if len(found) < NEAR:
                found += pc.filter(ids, pc.starts_with(ids, beginning)).slice(0, NEAR).to_pylist()
    return next((found[:NEAR] for found in [inside, *shared.values()] if found), [])


def _listed(ids: Sequence[str]) -> str:
    more = ", ..." if len(ids) > NEAR else ""
    return ", ".join(ids[:NEAR]) + more
