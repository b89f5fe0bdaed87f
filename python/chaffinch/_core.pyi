from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

class ArrowStream(Protocol):
    """Anything that speaks the Arrow PyCapsule stream interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class ArrowArray(Protocol):
    """An Arrow array that any Arrow library takes."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __len__(self) -> int: ...

def build_info() -> tuple[str, str, str]:
    """Version, profile and architecture of this build."""

def hash_file(path: Path) -> str:
    """BLAKE3 of a file's bytes, in hexadecimal."""

def hash_files(
    paths: Sequence[Path], *, threads: int | None = None, progress: Callable[[int], object] | None = None
) -> list[str]:
    """BLAKE3 of each file's bytes, in hexadecimal."""

def meta_field(meta: ArrowStream | ArrowArray, name: str) -> ArrowArray:
    """One key of each row's `meta` as string_view: null where absent, JSON where it is no text."""

def read_batches(
    plan: dict[str, Any],
    job: dict[str, Any],
    batches: ArrowStream,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[int, int, dict[str, int]]:
    """Reads an Arrow stream into a shard; rows, rejected records and notes."""

def read_files(
    plan: dict[str, Any],
    jobs: Sequence[dict[str, Any]],
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[tuple[int, int, dict[str, int]]]:
    """Reads files into shards; rows, rejected records and notes of each; progress counts bytes."""
