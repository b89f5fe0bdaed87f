"""A little of `make faults`: what holds in its thousands of trials holds in these."""

from pathlib import Path

import pytest

from tests import faults


@pytest.mark.parametrize("kind", ["one bit", "cut"])
def test_a_damaged_cache_gives_the_same_mixture_and_says_so(kind: str, tmp_path: Path) -> None:
    for _, found in faults.damages(tmp_path, 1, [kind]):
        assert found.tried > 20
        assert found.failures == []


def test_a_build_that_was_ended_is_followed_by_a_whole_one(tmp_path: Path) -> None:
    for _, found in faults.kills(tmp_path, 3):
        assert found.failures == []


def test_files_of_the_user_stay(tmp_path: Path) -> None:
    for _, found in faults.own_files(tmp_path):
        assert found.failures == []
