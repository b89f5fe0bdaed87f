"""Templates and demonstrations depend on content and seed alone, and are what plain Python says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch.pools.asking import Asking
from chaffinch.recipe.format import Demonstrations, Pool, PoolUse
from chaffinch.store import Rows
from tests import pools_twin
from tests.rows import row, store

POOL = Pool(
    name="p",
    templates=[
        {"id": "plain", "prompt": "{instruction}"},
        {"id": "asked", "prompt": "Q: {instruction}\nA:"},
        {
            "id": "shown",
            "prompt": "Do this.\n{demonstrations}Q: {instruction}\nA:",
            "demonstration": "Q: {instruction}\nA: {output}\n",
        },
        {"id": "jinja", "jinja": "{{instruction}}?|||{{output}}"},
    ],
)
NAMES = [f"p/{template.id}" for template in POOL.templates]
SPEC = Demonstrations(share=0.6, min=1, max=3, max_characters=300)


def as_store(rows, chunk=4):
    """A store of these rows, which only what pools look at is asked of."""
    table = store(rows, chunk)
    made = Rows.__new__(Rows)
    made.shards, made.table = [], table
    made.starts = np.array([0, len(table)])
    made.ranges = {"s": (0, len(table))}
    return made


def rows_of(numbers, tasks):
    return [
        row(f"answer {n}", instruction=f"question {n}", task=f"t{n % tasks}", meta=f'{{"number": {n}}}')
        for n in numbers
    ]


def asked(rows, seed=7, batch=1000, threads=None, spec=SPEC, candidates=None):
    """By row hash: template, prompt and the row hashes of the demonstrations."""
    made = as_store(rows)
    everyone = np.arange(len(rows), dtype=np.uint32)
    shown = None if spec is None else (spec, everyone if candidates is None else candidates)
    asking = Asking(made, [(PoolUse(file="x", sources="s"), POOL)], seed, shown, threads=threads)
    found = {}
    for start in range(0, len(rows), batch):
        part = everyone[start : start + batch]
        columns = asking(part)
        for at, number in enumerate(part.tolist()):
            hashes = [rows[other]["row_hash"] for other in columns["demonstrations"][at]]
            found[rows[number]["row_hash"]] = (columns["template"][at], columns["instruction"][at], hashes)
    return found


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True),
    st.integers(1, 3),
    st.integers(0, 2**64 - 1),
    st.integers(1, 11),
    st.randoms(),
)
def test_order_batches_and_threads_change_nothing(numbers, tasks, seed, batch, chance):
    rows = rows_of(numbers, tasks)
    shuffled = [*rows]
    chance.shuffle(shuffled)
    assert asked(rows, seed) == asked(shuffled, seed, batch=batch, threads=1)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=50, unique=True), st.integers(1, 3), st.integers(0, 2**64 - 1)
)
def test_they_are_what_plain_python_says(numbers, tasks, seed):
    rows = rows_of(numbers, tasks)
    by_hash = {one["row_hash"]: one for one in rows}
    for digest, (name, prompt, shown) in asked(rows, seed).items():
        one = by_hash[digest]
        assert name == pools_twin.template(seed, NAMES, one["content_hash"])
        wanted, tried = pools_twin.demonstrations(seed, one, rows, SPEC)
        assert shown == [other for other in tried if other != digest][:wanted]
        assert all(by_hash[other]["references"][0] in prompt for other in shown)
        assert digest not in shown
        assert len(prompt) <= SPEC.max_characters


def test_a_template_more_changes_only_the_rows_that_it_wins():
    rows = rows_of(range(300), 1)
    before = asked(rows, spec=None)
    more = Pool(name="p", templates=[*POOL.templates, {"id": "new", "prompt": "{instruction}!"}])
    everyone = np.arange(len(rows), dtype=np.uint32)
    after = Asking(as_store(rows), [(PoolUse(file="x", sources="s"), more)], 7)(everyone)["template"]
    changed = [(old[0], new) for old, new in zip(before.values(), after, strict=True) if old[0] != new]
    assert 30 < len(changed) < 90
    assert {new for _, new in changed} == {"p/new"}


def test_a_row_that_goes_changes_only_the_rows_that_showed_it():
    rows = rows_of(range(200), 1)
    before = asked(rows)
    gone = rows[17]["row_hash"]
    after = asked([one for one in rows if one["row_hash"] != gone])
    for digest, answer in after.items():
        _, tried = pools_twin.demonstrations(7, _of(rows, digest), rows, SPEC)
        if gone not in tried:
            assert answer == before[digest]
    assert sum(answer != before[digest] for digest, answer in after.items()) < 20


def _of(rows, digest):
    return next(one for one in rows if one["row_hash"] == digest)


def test_only_candidates_are_shown_and_none_with_the_same_question():
    rows = rows_of(range(40), 1)
    # The same question with another answer is another row, but would give the answer away.
    rows += [row(f"other {n}", instruction=f"question {n}", task="t0") for n in range(40)]
    candidates = np.arange(0, 80, 2, dtype=np.uint32)
    allowed = {rows[n]["row_hash"] for n in candidates.tolist()}
    shown = 0
    for digest, (_, _, hashes) in asked(rows, candidates=candidates).items():
        assert {*hashes} <= allowed
        questions = [_of(rows, other)["instruction"] for other in (digest, *hashes)]
        assert len({*questions}) == len(questions)
        shown += len(hashes)
    assert shown > 40


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_is_of_rows(share):
    rows = rows_of(range(60), 1)
    found = asked(rows, spec=Demonstrations(share=share, min=2, max=2))
    assert {len(shown) for _, _, shown in found.values()} == {2 if share else 0}
