"""What holds for every set of rows."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.recipe.dedup import Dedup
from chaffinch.stages import dedup
from tests.rows import everyone, row, store

few = st.text("aA é\n", max_size=3)


def normal(text, form):
    if form == "none":
        return text
    if form == "case":
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    return " ".join(text.split())


@pytest.mark.parametrize("form", ["none", "whitespace", "case"])
@given(texts=st.lists(few, max_size=30))
def test_one_row_of_each_key_stays_and_the_others_point_to_it(form, texts):
    table = dedup.exact_duplicates(texts, normal_form=form)
    removed = dict(zip(table["row"].to_pylist(), table["witness"].to_pylist(), strict=True))
    kept = [at for at in range(len(texts)) if at not in removed]
    assert list(removed) == sorted(removed)
    assert all(normal(texts[at], form) == normal(texts[witness], form) for at, witness in removed.items())
    assert all(witness in kept for witness in removed.values())
    keys = [key for at in kept if (key := normal(texts[at], form))]
    assert len(keys) == len(set(keys))


@given(st.text())
def test_case_is_pythons_nfkc_and_lower(text):
    """Two texts are equal under `case` when Python's forms are; Unicode's newest characters are left out."""
    form = normal(text, "case")
    if any(unicodedata.category(character) == "Cn" for character in text) or set(text) & set("\x1c\x1d\x1e\x1f"):
        return
    found = dedup.exact_duplicates([text, form], normal_form="case").num_rows
    assert found == (form != "")


rows_of_sources = st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("tu"), few, few), max_size=25)


@given(rows_of_sources, st.data())
def test_the_order_of_rows_within_sources_changes_nothing(rows, data):
    rules = Dedup(
        exact=[
            {"on": "prompt", "normal_form": "case"},
            {"on": "response", "keep": "longest", "within": "task"},
        ]
    )

    def kept(given_rows):
        table = store(given_rows, chunk=4)
        stays = dedup.run(table, everyone(table), rules).check(everyone(table))
        contents = table["row_hash"].to_pylist()
        return sorted(contents[at] for at in stays)

    made = [row(answer, source=source, task=task, input=text) for source, task, text, answer in rows]
    made.sort(key=lambda one: one["source"])
    shuffled = sorted(data.draw(st.permutations(made)), key=lambda one: one["source"])
    assert kept(made) == kept(shuffled)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_change_nothing(threads):
    numbers = np.random.default_rng(1).integers(0, 30_000, 40_000)
    texts = [f"row {number}" for number in numbers]
    one = dedup.exact_duplicates(texts, threads=1)
    assert dedup.exact_duplicates(texts, threads=threads) == one
    first = {}
    expected = [(at, first[text]) for at, text in enumerate(texts) if first.setdefault(text, at) != at]
    assert list(zip(one["row"].to_pylist(), one["witness"].to_pylist(), strict=True)) == expected
