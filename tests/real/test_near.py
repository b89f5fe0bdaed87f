"""Near duplicates of real rows, against sets of word 5-grams in plain Python."""

import random
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

import chaffinch as cf
from chaffinch.files import read_table

pytestmark = pytest.mark.real

SAMPLE = 150
UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff66-\uff9f]")


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = [unicodedata.normalize("NFKC", word).lower() for word in text.split()]
    return frozenset(tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4)) if words)


def jaccard(one: frozenset[tuple[str, ...]], two: frozenset[tuple[str, ...]]) -> float:
    return len(one & two) / len(one | two) if one or two else 1.0


@pytest.mark.parametrize("threshold", [0.7, 0.8])
def test_every_removed_row_has_its_witness_and_no_kept_row_has_one(real: Path, threshold: float) -> None:
    files = sorted((real / "p3-t0-50k").rglob("*.jsonl*"))
    table = pa.concat_tables([read_table(file).select(["prompt", "completion"]) for file in files])
    # The twin splits at white space alone, which scripts without spaces do not have.
    spaced = [not UNSPACED.search(prompt) for prompt in table["prompt"].to_pylist()]
    assert 0 < spaced.count(False) < 50
    table = table.filter(pa.array(spaced))
    found = cf.near_duplicates(table, min_similarity=threshold)
    columns = [[shingles(text) for text in table[name].to_pylist()] for name in ("prompt", "completion")]
    removed = set(found["row"].to_pylist())
    assert len(removed) > 1000
    for line in found.to_pylist():
        similarity = min(jaccard(column[line["row"]], column[line["witness"]]) for column in columns)
        assert similarity == line["similarity"] >= threshold
        assert line["witness"] not in removed
    kept = [row for row in range(len(table)) if row not in removed]
    for row in random.Random(7).sample(kept, SAMPLE):
        prompt, completion = columns[0][row], columns[1][row]
        for other in kept:
            there = columns[0][other]
            if other != row and len(there) * threshold <= len(prompt) <= len(there) / threshold:
                alike = jaccard(prompt, there) >= threshold and jaccard(completion, columns[1][other]) >= threshold
                assert not alike, (row, other)
