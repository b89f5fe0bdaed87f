"""The border functions of reading, called as another library would."""

import hashlib

import polars as pl
import pyarrow as pa
import pytest

from chaffinch import _core

META = ['{"a": "x\\n", "b": 1.50}', None, '{"a": null}', '{"a": [1, 2], "b": true}', "{}"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(META),
        pa.array(META, pa.string_view()),
        pa.array(META, pa.large_string()),
        pa.array(META).dictionary_encode(),
        pa.chunked_array([META[:2], [], META[2:]]),
        pa.array(["{}", *META, "{}"]).slice(1, 5),
        pl.Series(META),
    ],
    ids=lambda column: str(getattr(column, "type", "polars")),
)
def test_a_field_of_meta_comes_as_text(column):
    assert pa.array(_core.meta_field(column, "a")).to_pylist() == ["x\n", None, None, "[1, 2]", None]
    assert pa.array(_core.meta_field(column, "b")).to_pylist() == ["1.50", None, None, "true", None]
    assert pa.array(_core.meta_field(column, "a")).type == pa.string_view()


def test_meta_of_no_rows():
    assert len(pa.array(_core.meta_field(pa.array([], pa.string()), "a"))) == 0


def test_files_are_hashed_with_blake3(tmp_path):
    # From the BLAKE3 test vectors: the empty input, and 1024 bytes 0, 1, ... 250, 0, ...
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "bytes").write_bytes(bytes(number % 251 for number in range(1024)))
    empty, full = _core.hash_files([tmp_path / "empty", tmp_path / "bytes"])
    assert empty == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert full == "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"
    assert _core.hash_file(tmp_path / "bytes") == full


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        _core.hash_file(tmp_path / "absent")


def test_a_large_file_has_one_hash_for_any_number_of_threads(tmp_path):
    (tmp_path / "a").write_bytes(hashlib.sha256(b"").digest() * 100_000)
    assert len({_core.hash_files([tmp_path / "a"], threads=threads)[0] for threads in (1, 2, 8)}) == 1


def test_a_failing_progress_callback_stops_the_reading(tmp_path):
    class StopError(Exception):
        pass

    def stop(_done: int) -> None:
        raise StopError

    (tmp_path / "a").write_bytes(b"x" * (1 << 30))
    with pytest.raises(StopError):
        _core.hash_files([tmp_path / "a"] * 20, threads=1, progress=stop)
