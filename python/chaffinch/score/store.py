"""Answers once given: a file for each answerer, only ever appended to."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

from chaffinch.cache import key_of, report_damage
from chaffinch.columns import is_unicode
from chaffinch.errors import DataError

ANSWERS = "answers"


class AnswerStore:
    """The answers of one answerer, by the name of the prompt.

    A line of JSON for each: `{"x": hash, "q": name, "a": text}`, or `{..., "no": why}` where there will never be one;
    the first line tells whose they are. A line that a killed run left unfinished counts for nothing. A damaged one is
    reported, and its question is asked again; lines of older versions have no hash.

    Args:
        cache: the cache folder; the file lies in `answers/` of it.
        identity: what the answers depend on besides the prompt.
    """

    def __init__(self, cache: Path, identity: Mapping[str, Any]) -> None:
        self.path = cache / ANSWERS / f"{key_of(identity)}.jsonl"
        self.identity = identity
        self._answers: dict[str, str | None] = {}
        self._why: dict[str, str] = {}
        self._file: BinaryIO | None = None
        self._read()

    def __contains__(self, key: str) -> bool:
        return key in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> str | None:
        """The answer; None where there is none, or never will be."""
        return self._answers.get(key)

    def why(self, key: str) -> str | None:
        """Why there will never be an answer."""
        return self._why.get(key)

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """Lets this process alone append.

        Raises:
            DataError: another process does.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(
                    f"{self.path} is being written by another run of the same answerer\n"
                    "hint: wait for it, its answers are kept; or give another --cache"
                ) from None
            self._mend(file)
            self._read()
            if file.tell() == 0:
                self._write(file, [{"answerer": self.identity}])
            self._file = file
            try:
                yield self
            finally:
                self._file = None

    def add(self, answers: Mapping[str, str], refused: Mapping[str, str]) -> None:
        """Keeps answers; they are on the disk when this returns."""
        assert self._file is not None, "answers are added while writing"
        lines = [_hashed({"q": key, "a": text}) for key, text in answers.items()]
        lines += [_hashed({"q": key, "no": why}) for key, why in refused.items()]
        if lines:
            self._write(self._file, lines)
            self._answers.update(answers)
            self._answers.update(dict.fromkeys(refused))
            self._why.update(refused)

    @staticmethod
    def _write(file: BinaryIO, lines: list[dict[str, Any]]) -> None:
        file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        file.flush()
        os.fsync(file.fileno())

    @staticmethod
    def _mend(file: BinaryIO) -> None:
        """Cuts off a line that was never finished, so that the next one begins on its own."""
        end = file.seek(0, os.SEEK_END)
        size = end
        while size:
            start = max(0, size - (1 << 16))
            file.seek(start)
            newline = file.read(size - start).rfind(b"\n")
            size = start + newline + 1 if newline >= 0 else start
            if newline >= 0:
                break
        if size < end:
            file.truncate(size)
        file.seek(0, os.SEEK_END)

    def _read(self) -> None:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    # Torn by a kill; the question is asked again.
                    continue
                try:
                    record = json.loads(line)
                    key, answer, why = record.get("q"), record.get("a"), record.get("no")
                    sound = number == 0 or _is_sound(record)
                except (ValueError, AttributeError, RecursionError):
                    sound = False
                if not sound:
                    report_damage(self.path)
                elif isinstance(key, str) and isinstance(answer, str):
                    self._answers[key] = answer
                elif isinstance(key, str) and isinstance(why, str):
                    self._answers[key], self._why[key] = None, why


def _hash(record: Mapping[str, str]) -> str:
    return hashlib.blake2b(json.dumps(record).encode(), digest_size=8).hexdigest()


def _hashed(record: Mapping[str, str]) -> dict[str, str]:
    return {"x": _hash(record), **record}


def _is_sound(record: dict[str, Any]) -> bool:
    """Whether a line says what was written: with a hash, or in the form of older versions, which had none."""
    rest = {name: value for name, value in record.items() if name != "x"}
    known = rest.keys() in ({"q", "a"}, {"q", "no"}) and all(
        isinstance(value, str) and is_unicode(value) for value in rest.values()
    )
    return known and ("x" not in record or record["x"] == _hash(rest))
