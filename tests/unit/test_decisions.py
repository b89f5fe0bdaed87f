import numpy as np
import pytest

from chaffinch.decisions import Decisions


def rows(*numbers):
    return np.array(numbers, np.uint32)


def test_because_sorts_rows_with_their_witnesses():
    decisions = Decisions.because("duplicate of prompt", [7, 2], [3, 1])
    assert decisions.row.tolist() == [2, 7]
    assert decisions.witness.tolist() == [1, 3]
    assert decisions.check(rows(1, 2, 3, 7)).tolist() == [1, 3]


def test_none_keeps_all():
    assert Decisions.none().check(rows(4, 9)).tolist() == [4, 9]
    assert Decisions.join([]).check(rows()).tolist() == []


def test_join_follows_witnesses_that_a_later_step_removed():
    joined = Decisions.join(
        [
            Decisions.because("first", [1], [0]),
            Decisions.because("second", [0, 5], [2, 6]),
            Decisions.because("first", [2], [3]),
        ]
    )
    joined.check(rows(0, 1, 2, 3, 5, 6))
    assert joined.row.tolist() == [0, 1, 2, 5]
    assert joined.witness.tolist() == [3, 3, 3, 6]
    assert [joined.reasons[code] for code in joined.reason] == ["second", "first", "first", "second"]


def test_join_keeps_each_row_with_its_evidence():
    parts = [
        Decisions(rows(1, 5), np.zeros(2, np.uint16), ["a"], evidence=rows(1, 0), evidences=["", "one"]),
        Decisions.because("b", [3]),
        Decisions(rows(0, 2), np.zeros(2, np.uint16), ["c"], evidence=rows(2, 1), evidences=["", "two", "zero"]),
    ]
    joined = Decisions.join(parts)
    joined.check(rows(0, 1, 2, 3, 5, 6))
    assert [joined.evidences[code] for code in joined.evidence] == ["zero", "one", "two", "", ""]
    assert Decisions.join([Decisions.because("b", [3])]).evidence is None


def decisions(row=(1,), reason=(0,), witness=None, score=None):
    witness = None if witness is None else rows(*witness)
    return Decisions(rows(*row), np.array(reason, np.uint16), ["because"], witness, score)


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (decisions(row=(1, 1), reason=(0, 0)), "each named once"),
        (decisions(row=(2, 1), reason=(0, 0)), "increase"),
        (decisions(row=(9,)), "were alive"),
        (decisions(reason=(0, 0)), "one reason"),
        (decisions(reason=(1,)), "has a text"),
        (decisions(row=(1, 2), reason=(0, 0), witness=(2, 0)), "every witness is a kept row"),
        (decisions(witness=(9,)), "every witness is a kept row"),
        (decisions(witness=(0, 2)), "one witness"),
        (decisions(score=np.zeros(2)), "one score"),
        (Decisions(rows(1), np.zeros(1, np.uint16), ["a"], evidence=rows(0, 0), evidences=[""]), "one evidence"),
        (Decisions(rows(1), np.zeros(1, np.uint16), ["a"], evidence=rows(1), evidences=[""]), "evidence has a text"),
        (Decisions(np.array([1]), np.array([0], np.uint16), ["because"]), "uint32"),
    ],
)
def test_broken_promises_are_found(broken, promise):
    with pytest.raises(AssertionError, match=promise):
        broken.check(rows(0, 1, 2))
