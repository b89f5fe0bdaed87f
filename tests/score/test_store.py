"""Answers once kept stay; what a killed run left half written does no harm."""

import json
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.cache import damage_reported
from chaffinch.errors import DataError
from chaffinch.score.store import AnswerStore

IDENTITY = {"kind": "test", "model": "m"}


def keep(cache: Path, answers: dict[str, str], refused: dict[str, str] | None = None) -> None:
    with AnswerStore(cache, IDENTITY).writing() as store:
        store.add(answers, refused or {})


@given(st.dictionaries(st.text("abcdef0123", min_size=1), st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_is_kept_comes_back(tmp_path_factory: pytest.TempPathFactory, answers: dict[str, str]) -> None:
    cache = tmp_path_factory.mktemp("answers")
    keep(cache, answers, {"never": "too long"})
    again = AnswerStore(cache, IDENTITY)
    assert {key: again.get(key) for key in answers} == answers
    assert (again.get("never"), again.why("never"), "never" in again) == (None, "too long", True)
    assert len(AnswerStore(cache, {**IDENTITY, "model": "n"})) == 0


@pytest.mark.parametrize(
    "torn",
    [
        b'{"q": "b", "a": "x',
        b'{"q": "b", "a": "x"}',
        b"\0\0\0",
        b'{"q": "b", "a": "\\ud800"}\n',
        b'[1]\n{"q": 1}\n\xff\n{',
        b"x" * 200_000,
    ],
)
def test_a_torn_record_is_ignored_and_written_over(tmp_path: Path, torn: bytes) -> None:
    keep(tmp_path, {"a": "1"})
    path = AnswerStore(tmp_path, IDENTITY).path
    with path.open("ab") as file:
        file.write(torn)
    with damage_reported() as reported:
        store = AnswerStore(tmp_path, IDENTITY)
    assert (len(store), store.get("a"), "b" in store) == (1, "1", False)
    # Half a line is what a kill leaves; a whole one that says nothing is damage.
    assert len(reported) == torn.endswith((b"\n", b"{"))
    with damage_reported():
        keep(tmp_path, {"b": "2"})
        store = AnswerStore(tmp_path, IDENTITY)
    assert (store.get("a"), store.get("b")) == ("1", "2")
    assert path.read_bytes().endswith(b"\n")
    assert json.loads(path.read_bytes().splitlines()[0]) == {"answerer": IDENTITY}


def test_a_damaged_answer_is_no_answer(tmp_path: Path) -> None:
    keep(tmp_path, {"a": "seven", "b": "eight"}, {"c": "too long"})
    path = AnswerStore(tmp_path, IDENTITY).path
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    lost = 0
    for at in range(first, len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            with damage_reported() as reported:
                store = AnswerStore(tmp_path, IDENTITY)
            found = {key: (store.get(key), store.why(key)) for key in ("a", "b", "c") if key in store}
            assert found.items() <= {"a": ("seven", None), "b": ("eight", None), "c": (None, "too long")}.items()
            # A last line without its end is as a kill leaves it.
            assert len(found) == len(store)
            assert len(found) == 3 or reported or at == len(whole) - 1
            lost += len(found) < 3
    assert lost > (len(whole) - first) * 7
    # Lines of older versions have no hash, and cost as much to ask for again.
    path.write_bytes(whole[:first] + b'{"q": "a", "a": "seven"}\n')
    assert AnswerStore(tmp_path, IDENTITY).get("a") == "seven"


def test_one_process_writes(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, IDENTITY).writing() as store:
        store.add({"a": "1"}, {})
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as other:
            assert "being written by another run" in other.apply(_refused, (tmp_path,))
    keep(tmp_path, {"b": "2"})


def _refused(cache: Path) -> str:
    try:
        keep(cache, {})
    except DataError as error:
        return str(error)
    return ""
