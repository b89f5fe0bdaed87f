"""The kernel against the rules written out plainly: every n-gram of every row against every n-gram of every item."""

import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chaffinch as cf
from chaffinch.recipe.decontaminate import Against, Decontaminate
from chaffinch.stages.decontaminate import find_items

Item = dict[str, Any]
SHORT, TELLING, TOGETHER = 5, 7, 8


def words_of(text: str) -> list[tuple[str, int, int]]:
    """Lower-cased words and their spans; a Chinese character is a word."""
    return [
        (one[0].lower(), one.start(), one.end()) for one in re.finditer("[一-鿿]|[a-zà-ÿ0-9]+", text, re.IGNORECASE)
    ]


def has(row: Sequence[str], part: Sequence[str]) -> bool:
    return any(list(row[at : at + len(part)]) == list(part) for at in range(len(row) - len(part) + 1))


def grams(words: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]


def plainly(texts: list[str], items: list[Item], ngram: int, min_coverage: float, common: int) -> list[dict[str, Any]]:
    rows = [words_of(text) for text in texts]
    row_words = [[word for word, _, _ in row] for row in rows]
    questions = [[word for word, _, _ in words_of(item["question"])] for item in items]
    held = [set(grams(question, min(ngram, len(question)))) if question else set() for question in questions]
    everywhere = {gram for one in held for gram in one}
    in_rows = {gram: sum(has(row, gram) for row in row_words) for gram in everywhere}
    # Items that are the same word by word are one, the first.
    same = [(question, *_parts(item)) for question, item in zip(questions, items, strict=True)]
    first = [same.index(one) for one in same]
    in_items = {gram: sum(gram in held[number] for number in set(first)) for gram in everywhere}
    is_common = {gram: in_rows[gram] > common or in_items[gram] > common for gram in everywhere}
    found = []
    for at, (row, words) in enumerate(zip(rows, row_words, strict=True)):
        for number, (item, question) in enumerate(zip(items, questions, strict=True)):
            if first[number] != number:
                continue
            match = judge(words, item, question, ngram, is_common, in_items)
            if match is not None and match[1] >= min_coverage:
                matched, coverage, (begin, last) = match
                start, end = row[begin][1], row[last - 1][2]
                line = {
                    "row": at,
                    "item": number,
                    "equal_items": first.count(number),
                    "matched_words": matched,
                    "coverage": coverage,
                }
                found.append(line | {"start": start, "end": end})
    return found


def _parts(item: Item) -> list[list[str]]:
    texts = [item["answer"], *item["choices"]]
    words = [[word for word, _, _ in words_of(text)] for text in texts]
    return words[:1] + [part for part in words[1:] if part]


def judge(
    row: list[str], item: Item, question: list[str], ngram: int, is_common: dict[Any, bool], in_items: dict[Any, int]
) -> tuple[int, float, tuple[int, int]] | None:
    if not question:
        return None
    if len(question) < ngram:
        if not has(row, question):
            return None
        whole = tuple(question)
        first = grams(row, len(question)).index(whole)
        coverage, matched, span = 1.0, len(question), (first, first + len(question))
        telling = len(question) >= TELLING and in_items[whole] == 1 and not is_common[whole]
    else:
        there = grams(row, ngram)
        hits = [(at, gram) for at, gram in enumerate(grams(question, ngram)) if gram in there]
        if not hits:
            return None
        covered = {at + offset for at, _ in hits for offset in range(ngram)}
        rare = {
            at + offset
            for at, gram in enumerate(grams(question, ngram))
            if not is_common[gram]
            for offset in range(ngram)
        }
        told = {at + offset for at, gram in hits if not is_common[gram] for offset in range(ngram)}
        matched, telling = len(covered), bool(rare)
        coverage = len(told) / len(rare) if rare else float(len(hits) == len(grams(question, ngram)))
        span = stretch({there.index(gram) for _, gram in hits}, ngram)
    if telling:
        return matched, coverage, span
    choices = [[word for word, _, _ in words_of(choice)] for choice in item["choices"]]
    everything = sum(map(len, choices))
    answer = [word for word, _, _ in words_of(item["answer"])]
    if everything and len(question) + everything >= TOGETHER:
        there_too = sum(len(choice) for choice in choices if choice and has(row, choice))
        if len(question) + there_too < TOGETHER:
            return None
        return matched + there_too, min(coverage, there_too / everything), span
    if not everything and len(question) >= min(SHORT, ngram):
        return matched, coverage, span
    answered = not everything and len(question) + len(answer) >= TOGETHER and has(row, answer)
    return (matched, coverage, span) if answered or len(row) == len(question) else None


def stretch(starts: set[int], ngram: int) -> tuple[int, int]:
    """The longest run of consecutive starts, the first of several."""
    best = (0, 0)
    for start in sorted(starts):
        end = start
        while end + 1 in starts:
            end += 1
        if end - start + ngram > best[1] - best[0]:
            best = (start, end + ngram)
    return best


# Few words, so that everything repeats: matches, shared n-grams, overlaps, rows that are items.
WORDS = st.sampled_from(["a", "B", "c", "Été", "数", "字", "d", "7"])
GAPS = st.sampled_from([" ", ", ", "\n", " (", "-", ". "])


@st.composite
def passages(draw: st.DrawFn, most: int) -> str:
    parts = draw(st.lists(st.tuples(WORDS, GAPS), max_size=most))
    return "".join(word + gap for word, gap in parts)


ITEMS = st.fixed_dictionaries(
    {"question": passages(12), "answer": passages(6), "choices": st.lists(passages(4), max_size=3)}
)


# Of items that ask the same; else all differ.
CROWDS = st.lists(ITEMS, max_size=5) | st.lists(passages(9), min_size=1, max_size=2).flatmap(
    lambda questions: st.lists(
        ITEMS.flatmap(lambda item: st.sampled_from(questions).map(lambda question: item | {"question": question})),
        max_size=12,
    )
)


# Every word of the question is in n-grams that the row has, but the question is not in the row.
@example([" a B "], [{"question": "a B a B", "answer": "", "choices": []}], 2, 0.01, 0, random.Random(0))
@settings(max_examples=400)
@given(
    st.lists(passages(14), max_size=8),
    CROWDS,
    st.integers(1, 14),
    st.sampled_from([0.01, 0.3, 0.5, 0.8, 1.0]),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)
def test_all_matches_are_those_of_the_rules(
    texts: list[str], items: list[Item], ngram: int, coverage: float, common: int, chance: random.Random
) -> None:
    _hide(texts, items, chance)
    found = cf.contamination(texts, _columns(items), ngram=ngram, min_coverage=coverage, common=common)
    assert found.to_pylist() == plainly(texts, items, ngram, coverage, common)


@settings(max_examples=200)
@given(
    st.lists(passages(14), min_size=1, max_size=6),
    CROWDS.filter(bool),
    st.integers(1, 14),
    st.integers(0, 4),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_of_each_set_the_best_match_is_told_and_all_items_are_held(
    texts: list[str], items: list[Item], ngram: int, common: int, sets: int, chance: random.Random
) -> None:
    _hide(texts, items, chance)
    of_set = [chance.randrange(sets) for _ in items]
    groups = [chance.randrange(2) for _ in texts]
    same = [[[word for word, _, _ in words_of(item["question"])], *_parts(item)] for item in items]
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    held = set()
    for match in plainly(texts, items, ngram, 0.5, common):
        for number in (number for number, one in enumerate(same) if one == same[match["item"]]):
            row, of = match["row"], of_set[number]
            rank = (-match["coverage"], -match["matched_words"], number)
            best[row, of] = min(best.get((row, of), rank), rank)
            held.add((groups[row], number, match["item"]))
    spec = Decontaminate(against=[Against(name="x")], ngram=ngram, common=common)
    found, there = find_items(
        pa.table({"text": texts}),
        pa.table(_columns(items)),
        spec,
        sets=np.array(of_set, np.uint32),
        groups=np.array(groups, np.uint32),
    )
    told = [(one["row"], one["item"], one["coverage"], one["matched_words"]) for one in found.to_pylist()]
    assert told == sorted((row, item, -less, -fewer) for (row, _), (less, fewer, item) in best.items())
    assert [tuple(one.values()) for one in there.to_pylist()] == sorted(held)


def _hide(texts: list[str], items: list[Item], chance: random.Random) -> None:
    """Puts items or parts of them into the rows, which chance alone would rarely write."""
    for item in items:
        words = re.findall(r"\S+", item["question"])
        if words and texts:
            start = chance.randrange(len(words))
            at = chance.randrange(len(texts))
            part = " ".join(words[start:] if chance.random() < 0.5 else words)
            texts[at] = f"{texts[at]} {part} {' '.join(item['choices'])} {item['answer']}"


def _columns(items: list[Item]) -> dict[str, Any]:
    types = {"question": pa.string(), "answer": pa.string(), "choices": pa.list_(pa.string())}
    return {name: pa.array([item[name] for item in items], kind) for name, kind in types.items()}
