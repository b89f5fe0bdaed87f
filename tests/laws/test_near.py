"""What holds for every set of rows, against brute force over sets of tuples."""

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaffinch as cf
from chaffinch.recipe.dedup import Dedup
from chaffinch.stages import dedup
from tests.rows import everyone, row, store

# Unicode's White_Space, which has not Python's \x1c to \x1f.
SPACE = "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
KANA_MARKS = "\u3099\u309a\uff9e\uff9f"
UNIT = re.compile(f"[{UNSPACED}][{KANA_MARKS}]*|[^{UNSPACED}]+")


def normal(text):
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def units(text, unit):
    """The rules of `near_duplicates`, written to be read."""
    if unit == "char":
        return list(" ".join(re.split(SPACE, normal(text))).strip(" "))
    return [normal(part) for word in re.split(SPACE, text) if word for part in UNIT.findall(word)]


def shingles(text, ngram, unit):
    found = units(text, unit)
    return {tuple(found[at : at + ngram]) for at in range(max(1, len(found) - ngram + 1))} if found else set()


def similarity(left, right):
    """Of rows of several columns: the lowest, or None below a threshold or between empty rows."""
    if not any(one for one, _ in left):
        return None
    lowest = 1.0
    for (one, least), (other, _) in zip(left, right, strict=True):
        value = len(one & other) / len(one | other) if one | other else 1.0
        if value < least:
            return None
        lowest = min(lowest, value)
    return lowest


def brute(rows):
    """Rows as lists of (set, threshold), by rank."""
    kept, found = [], []
    for number, own in enumerate(rows):
        alike = ((other, similarity(own, rows[other])) for other in kept)
        first = next(((other, value) for other, value in alike if value is not None), None)
        if first:
            found.append((number, *first))
        else:
            kept.append(number)
    return found


def answer(texts, **options):
    table = cf.near_duplicates(texts, priority=list(range(len(next(iter(texts.values()))))), **options)
    return list(zip(*(table[name].to_pylist() for name in ("row", "witness", "similarity")), strict=True))


pieces = [
    "a",
    "b",
    "C",
    "c",
    "a",
    "b",
    "é",
    "e\u0301",
    "数",
    "字",
    "が",
    "か\u3099",
    "ｶﾞ",
    "ไ",
    "ท",
    "\u0e31",
    "שלום",
    "\u202e",
]
pieces += ["👩‍👩‍👧", "👍🏽", "🇩🇪", "ﬁ", "Ⅷ", "K", "x\x00", "\x1c", "\x85", "\u00a8", "1", "2", "?", "ΟΔΟΣ"]
words = st.lists(st.sampled_from(pieces), max_size=9)
between = st.sampled_from([" ", "  ", "\n", "\u3000", "\u00a0", ""])


@st.composite
def alike_texts(draw, most=12):
    texts = []
    for _ in range(draw(st.integers(0, most))):
        if texts and draw(st.booleans()):
            parts = list(draw(st.sampled_from(texts)))
            if parts and draw(st.booleans()):
                parts[draw(st.integers(0, len(parts) - 1))] = draw(st.sampled_from(pieces))
        else:
            parts = draw(words)
        texts.append(parts)
    return [draw(between).join(parts) for parts in texts]


thresholds = st.sampled_from([1.0, 0.8, 0.75, 0.5, 1 / 3, 0.01])


@given(alike_texts(), thresholds, st.integers(1, 6), st.sampled_from(["word", "char"]), st.sampled_from([1, 2, 8]))
def test_one_column_is_brute_force(texts, least, ngram, unit, threads):
    rows = [[(shingles(text, ngram, unit), least)] for text in texts]
    found = answer({"t": texts}, min_similarity=least, ngram=ngram, unit=unit, threads=threads)
    assert found == brute(rows)


@given(alike_texts(8), alike_texts(8), thresholds, thresholds, st.integers(1, 4))
def test_columns_have_to_be_alike_each_by_itself(left, right, first, second, ngram):
    size = min(len(left), len(right))
    texts = {"prompt": left[:size], "response": right[:size]}
    rows = [
        [(shingles(a, ngram, "word"), first), (shingles(b, ngram, "word"), second)]
        for a, b in zip(*texts.values(), strict=True)
    ]
    assert answer(texts, min_similarity={"prompt": first, "response": second}, ngram=ngram) == brute(rows)


@given(alike_texts(), thresholds, st.data())
def test_the_order_of_rows_changes_nothing(texts, least, data):
    order = data.draw(st.permutations(range(len(texts))))

    def kept(rows):
        gone = set(cf.near_duplicates(rows, min_similarity=least, ngram=2)["row"].to_pylist())
        return sorted(text for at, text in enumerate(rows) if at not in gone)

    assert kept(texts) == kept([texts[at] for at in order])


@given(alike_texts(), alike_texts(), thresholds, st.integers(0, 2**64 - 1))
def test_old_then_new_is_both_at_once(old, new, least, seed):
    options = {"min_similarity": least, "ngram": 2, "seed": seed}
    both = old + new
    whole = cf.near_duplicates(both, priority=[at >= len(old) for at in range(len(both))], **options).to_pylist()
    gone = set(cf.near_duplicates(old, **options)["row"].to_pylist())
    stay = [at for at in range(len(old)) if at not in gone]
    parts = [stay[::2], stay[1::2]]
    indexes = [cf.NearIndex.build(old, list(range(len(old))), rows=part, ngram=2, seed=seed) for part in parts]
    found = cf.near_duplicates(new, against=indexes[0].merge(indexes[1]), **options).to_pylist()
    # The merged index holds the old rows in another order than rank: which of two old rows is told may differ.
    assert [one["row"] + len(old) for one in found] == [one["row"] for one in whole if one["row"] >= len(old)]
    sets = [shingles(text, 2, "word") for text in both]
    for one in found:
        other = one["against"] if one["witness"] is None else one["witness"] + len(old)
        assert (one["witness"] is None) == (one["against"] is not None)
        assert similarity([(sets[one["row"] + len(old)], least)], [(sets[other], least)]) == one["similarity"]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("xy"), words, words), max_size=14), st.data())
def test_a_store_in_any_order_keeps_the_same_rows(rows, data):
    rules = Dedup(near=[{"min_similarity": 0.5, "ngram": 2}, {"on": "response", "within": "source", "ngram": 1}])
    made = [row(" ".join(answer), source=source, input=" ".join(text)) for source, text, answer in rows]
    made.sort(key=lambda one: one["source"])

    def kept(given_rows):
        table = store(given_rows, chunk=4)
        stays = dedup.run(table, everyone(table), rules).check(everyone(table))
        return sorted(table["row_hash"].take(pa.array(stays)).to_pylist())

    shuffled = sorted(data.draw(st.permutations(made)), key=lambda one: one["source"])
    assert kept(made) == kept(shuffled)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_change_nothing(threads):
    texts = [f"row {at % 7000} of some that are {at % 30} alike in {at % 2} ways" for at in range(30_000)]
    one = cf.near_duplicates(texts, min_similarity=0.5, ngram=2, threads=1)
    assert len(one) > 10_000
    assert cf.near_duplicates(texts, min_similarity=0.5, ngram=2, threads=threads) == one
