"""BM25 against rank-bm25, and what it adds."""

import random
import re

import numpy as np
import pyarrow as pa
import pytest
from rank_bm25 import BM25Okapi

import chaffinch as cf

WORDS = [f"w{at}" for at in range(60)] + ["the", "The", "a", "naïve", "3.5", "don't"]


def words(text: str) -> list[str]:
    """The readable twin of the splitter, for texts of spaced scripts."""
    return re.findall(r"[^\W_]+", text.lower())


def sentences(chance: random.Random, count: int) -> list[str]:
    return [" ".join(chance.choice(WORDS) for _ in range(chance.randint(0, 25))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_rank_bm25s(seed: int) -> None:
    chance = random.Random(seed)
    candidates, queries = sentences(chance, 300), sentences(chance, 100)
    theirs = BM25Okapi([words(text) for text in candidates])
    found = cf.nearest(queries, candidates, count=len(candidates))
    assert len(found) == len(queries) * len(candidates)
    scores = np.zeros((len(queries), len(candidates)))
    scores[found["query"].to_numpy(), found["candidate"].to_numpy()] = found["score"].to_numpy()
    expected = np.array([theirs.get_scores(words(query)) for query in queries])
    assert np.abs(scores - expected).max() < 1e-9
    by_query = found["score"].to_numpy().reshape(len(queries), -1)
    assert np.all(by_query[:, 1:] <= by_query[:, :-1])
    best = cf.nearest(queries, candidates)
    assert best.equals(found.take(list(range(0, len(found), len(candidates)))))


def test_groups_are_searched_alone() -> None:
    chance = random.Random(9)
    candidates, queries = sentences(chance, 200), sentences(chance, 80)
    labels = [chance.choice("xyz") for _ in candidates]
    asked = [chance.choice("xyzw") for _ in queries]
    found = cf.nearest(queries, candidates, count=3, groups=(asked, labels)).to_pylist()
    for label in "xyzw":
        rows = [row for row, one in enumerate(labels) if one == label]
        mine = [row for row, one in enumerate(asked) if one == label]
        alone = cf.nearest([queries[row] for row in mine], [candidates[row] for row in rows], count=3).to_pylist()
        expected = [{**hit, "query": mine[hit["query"]], "candidate": rows[hit["candidate"]]} for hit in alone]
        assert [hit for hit in found if hit["query"] in mine] == expected


def test_groups_come_in_any_form_of_text() -> None:
    texts, labels = ["a b", "a c", "b c"], ["x", "y", "x"]
    expected = cf.nearest(texts, texts, groups=(labels, labels))
    views = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["x", "y"], pa.string_view()))
    for form in (pa.array(labels, pa.string_view()), pa.array(labels).dictionary_encode(), views):
        assert cf.nearest(texts, texts, groups=(form, labels)).equals(expected)


def test_a_row_is_never_its_own_demonstration() -> None:
    texts = sentences(random.Random(1), 150)
    found = cf.nearest(texts, texts, count=5, except_candidate=list(range(150)))
    assert not np.any(found["query"].to_numpy() == found["candidate"].to_numpy())
    assert len(found) == 750


def test_order_and_threads_change_nothing() -> None:
    chance = random.Random(6)
    candidates, queries = sentences(chance, 200), sentences(chance, 60)
    candidates = list(dict.fromkeys(candidates))
    order = list(range(len(candidates)))
    chance.shuffle(order)
    shuffled = cf.nearest(queries, [candidates[row] for row in order], count=4, threads=2)
    plain = cf.nearest(queries, candidates, count=4, threads=1)
    assert [order[row] for row in shuffled["candidate"].to_pylist()] == plain["candidate"].to_pylist()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a"], ["b"]), {"count": 0}, "count is 0"),
        (([1], ["b"]), {}, "queries"),
        ((["a"], ["b"]), {"groups": (["x"], ["x", "y"])}, "candidates has 1 rows"),
        ((["a"], ["b"]), {"except_candidate": ["x"]}, "row numbers"),
    ],
)
def test_wrong_arguments_are_told(arguments, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        cf.nearest(*arguments, **options)
