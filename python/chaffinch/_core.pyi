"""The compiled part: Arrow in through PyCapsules, Arrow out. `chaffinch.stages` documents what it does."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, final

__all__ = [
    "Encoder",
    "RougePool",
    "StrList",
    "allocate",
    "bucket",
    "build_info",
    "clean",
    "contamination",
    "escape_marks",
    "exact_duplicates",
    "examine",
    "factorize",
    "gather",
    "hash_file",
    "hash_files",
    "index_hash",
    "lengths",
    "meta_field",
    "near_duplicates",
    "nearest",
    "occurrences",
    "pack",
    "read_batches",
    "read_files",
    "render",
    "repeated_spans",
    "rouge",
    "rouge_pair",
    "row_ids",
    "row_traces",
    "score",
    "select",
    "shingle_sets",
    "text_traces",
    "tokenize",
    "tokenize_rendered",
    "write_jsonl",
]

class _Array(Protocol):
    """An Arrow array to hand to `pyarrow.array`."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

class _Table(Protocol):
    """An Arrow table to hand to `pyarrow.table`."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

_Progress = Callable[[int], object] | None

def build_info() -> tuple[str, str, str]: ...
def factorize(
    columns: Any, *, threads: int | None = None, progress: _Progress = None
) -> tuple[_Array, _Table, _Table]: ...
def exact_duplicates(
    table: Any,
    *,
    normal_form: str,
    fields: list[str] | None = None,
    rows: Any = None,
    groups: Any = None,
    priority: Any = None,
    content: Any = None,
    identity: Any = None,
    match_empty: bool = False,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...
def near_duplicates(
    table: Any,
    *,
    min_similarity: Sequence[float],
    ngram: int,
    unit: str,
    seed: int = 0,
    fields: list[str] | None = None,
    rows: Any = None,
    groups: Any = None,
    priority: Any = None,
    content: Any = None,
    identity: Any = None,
    against: Sequence[Any] | None = None,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...
def nearest(
    queries: Any,
    candidates: Any,
    *,
    count: int,
    groups: tuple[Any, Any] | None = None,
    except_: Any = None,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...
def pack(
    lengths: Any,
    *,
    capacity: int,
    strategy: str,
    seed: int,
    ranks: int,
) -> _Table: ...
def rouge(
    predictions: Any,
    references: Any,
    *,
    metric: str,
    compat: str,
    stemmer: bool = False,
    reduce: str = "max",
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...
def rouge_pair(
    prediction: str, references: list[str], *, metric: str, compat: str, stemmer: bool = False
) -> tuple[float, float, float] | None: ...

@final
class StrList:
    @staticmethod
    def read(values: list[Any]) -> StrList | None: ...

@final
class RougePool:
    def __new__(cls, *, stemmer: bool = False) -> Self: ...
    def __len__(self) -> int: ...
    def add(self, texts: Any, *, progress: _Progress = None) -> None: ...
    def most_similar(self, texts: Any, *, threads: int | None = None, progress: _Progress = None) -> _Table: ...

def shingle_sets(
    table: Any,
    *,
    rows: Any,
    ngram: int,
    unit: str,
    seed: int = 0,
    fields: list[str] | None = None,
    threads: int | None = None,
    progress: _Progress = None,
) -> list[_Array]: ...
def index_hash(made: str, ids: Any, sets: Sequence[Any], *, threads: int | None = None) -> str: ...
def repeated_spans(
    table: Any,
    *,
    min_words: int,
    min_rows: int,
    top: int,
    field: str | None = None,
    rows: Any = None,
    threads: int | None = None,
) -> _Table: ...
def lengths(table: Any, field: str, *, threads: int | None = None, progress: _Progress = None) -> _Array: ...
def occurrences(row_hash: Any, *, threads: int | None = None, progress: _Progress = None) -> _Table: ...
def allocate(
    names: Sequence[str],
    available: Sequence[int],
    *,
    shortfall: str,
    counts: Sequence[int] | None = None,
    fractions: Sequence[float] | None = None,
    rows: int | None = None,
    method: str = "proportional",
    weights: Sequence[float] | None = None,
    cap: int | None = None,
    temperature: float | None = None,
) -> tuple[list[int], list[int]]: ...
def select(
    strata: Any,
    quotas: Any,
    *,
    seed: int,
    available: Any = None,
    rows: Any = None,
    keys: Any = None,
    identity: Any = None,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...
def bucket(scores: Any, edges: Sequence[float], *, labels: Sequence[str] | None = None) -> _Array: ...
def clean(
    table: Any,
    rows: Any,
    sources: Any,
    rules: Sequence[Mapping[str, object]],
    *,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Array: ...
def contamination(
    table: Any,
    question: Any,
    answer: Any,
    choices: Any,
    choice_counts: Any,
    *,
    field: str | None,
    rows: Any,
    ngram: int,
    min_coverage: float,
    common: int,
    sets: Any = None,
    groups: Any = None,
    evidence: int | None = None,
    threads: int | None = None,
    progress: _Progress = None,
) -> tuple[_Table, _Table]: ...
def render(
    table: Any,
    rows: Any,
    template: Mapping[str, object],
    marks: Mapping[str, object],
    *,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...
def examine(
    table: Any,
    rows: Any,
    template: Mapping[str, object],
    marks: Mapping[str, object],
    *,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Array: ...
def gather(table: Any, rows: Any, *, threads: int | None = None, progress: _Progress = None) -> _Table: ...
def row_ids(table: Any, rows: Any, occurrences: Any) -> _Array: ...
def write_jsonl(table: Any, path: str, *, threads: int | None = None, progress: _Progress = None) -> int: ...
def row_traces(
    table: Any,
    rows: Any,
    rules: Sequence[Mapping[str, object]],
    *,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...
def text_traces(
    texts: Any,
    rules: Sequence[Mapping[str, object]],
    *,
    part: str,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Table: ...

@final
class Encoder:
    def __new__(
        cls,
        first: bytes,
        *,
        later: bytes | None,
        controls: Sequence[tuple[str, int, bool, bool]],
        unknown: int | None,
        words: str | None,
        added: Sequence[str],
    ) -> Self: ...

def tokenize(
    table: Any,
    rows: Any,
    template: Mapping[str, object],
    marks: Mapping[str, object],
    encoder: Encoder,
    rules: Mapping[str, object],
    *,
    threads: int | None = None,
    progress: _Progress = None,
) -> tuple[_Table, _Table, int, int]: ...
def tokenize_rendered(
    texts: Any,
    starts: Any,
    ends: Any,
    flags: Any,
    encoder: Encoder,
    rules: Mapping[str, object],
    *,
    threads: int | None = None,
    progress: _Progress = None,
) -> tuple[_Table, _Table, int, int]: ...
def escape_marks(texts: Any, marks: Mapping[str, object]) -> _Table: ...
def hash_file(path: Path) -> str:
    """BLAKE3 of a file's bytes, in hexadecimal."""

def hash_files(
    paths: Sequence[Path],
    *,
    leave: int = 0,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[str]:
    """BLAKE3 of each file's bytes but for the last `leave`, in hexadecimal."""

def meta_field(meta: Any, name: str) -> _Array:
    """One key of each row's `meta` as string_view: null where absent, JSON where it is no text."""

def read_batches(
    plan: dict[str, Any],
    job: dict[str, Any],
    batches: Any,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[int, int, int, dict[str, int]]:
    """Reads an Arrow stream into a shard; rows, rejected records, solved cases and notes."""

def read_files(
    plan: dict[str, Any],
    jobs: Sequence[dict[str, Any]],
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[tuple[int, int, int, dict[str, int]]]:
    """Reads files into shards; rows, rejected records, solved cases and notes of each; progress counts bytes."""

def score(
    answers: Any,
    references: Any,
    measures: Any,
    *,
    normal_form: Sequence[str],
    metric: str,
    compat: str,
    threads: int | None = None,
    progress: _Progress = None,
) -> _Array:
    """The score of each answer, null where there is none; measures: 0 nothing, 1 exact match, 2 generation."""
