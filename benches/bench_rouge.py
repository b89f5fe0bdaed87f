"""ROUGE and BM25 beside the Python packages that they reproduce."""

import argparse
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import header, report, timed
from rank_bm25 import BM25Okapi
from rouge import Rouge
from rouge_score import rouge_scorer

import chaffinch as cf
from chaffinch import readers
from chaffinch.recipe.source import Source

REAL = Path(__file__).parents[2] / "shared" / "data"
PEER_PAIRS = 1_000


def real_texts(folder: Path) -> list[str]:
    """Prompts and responses of real rows."""
    source = Source(name="p3", files=["p3-t0-50k/**/*"])
    table = pa.concat_tables(
        pa.ipc.open_file(str(shard.path)).read_all() for shard in readers.read_source(source, REAL, folder)
    )
    # Python's \w and ours part company on a few characters beyond ASCII, which is not what is measured.
    return [text for text in table["instruction"].to_pylist() if text and text.isascii()]


def windows(texts: list[str], count: int, length: int, chance: random.Random) -> Iterator[str]:
    """Runs of about `length` words of real texts."""
    words = [text.split() for text in texts]
    long = [one for one in words if len(one) >= length] or [[*one, *one] for one in words]
    while count:
        count -= 1
        one = chance.choice(long)
        start = chance.randrange(max(1, len(one) - length))
        yield " ".join(one[start : start + length + chance.randint(-5, 5)])


def pairs(texts: list[str], count: int, length: int) -> tuple[list[str], list[str]]:
    """Predictions that share part of their words with their references."""
    chance = random.Random(3)
    references = list(windows(texts, count, length, chance))
    others = list(windows(texts, count, length, chance))
    predictions = []
    for reference, other in zip(references, others, strict=True):
        left, right, cut = reference.split(), other.split(), chance.random()
        predictions.append(" ".join(left[: int(len(left) * cut)] + right[int(len(right) * cut) :]))
    return predictions, references


def against(name: str, ours: Callable[[], Any], theirs: Callable[[], list[float]], bar: float, columns: Any) -> None:
    """Equality on the peer's share of the pairs, then the rate of each."""
    seconds_theirs, expected = timed(theirs, 1)
    predictions, _ = columns
    seconds, found = timed(ours, 3)
    got = found["f1"].to_pylist()[: len(expected)]
    assert got == expected, f"{name}: not the same scores"
    per_pair = {"ours": seconds / len(predictions), name: seconds_theirs / len(expected)}
    rate = 1 / per_pair["ours"]
    print(f"  equal on {len(expected):,} pairs; ours {rate:,.0f} pairs/s, {name} {1 / per_pair[name]:,.0f} pairs/s")
    report({one: value * len(predictions) for one, value in per_pair.items()}, "ours", {name: bar})


def main() -> None:
    """Runs every comparison."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=100_000)
    count = arguments.parse_args().pairs
    header("rouge", ["rouge-score", "rouge", "rank-bm25"], pairs=count, threads=1)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        texts = real_texts(Path(folder))
    columns = pairs(texts, count, 45)
    arrow = [pa.array(column) for column in columns]
    first = [column[:PEER_PAIRS] for column in columns]
    for stemmer in (False, True):
        scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=stemmer)
        against(
            f"rouge-score{' stemmed' if stemmer else ''}",
            lambda stemmer=stemmer: cf.rouge(*arrow, stemmer=stemmer, threads=1),
            lambda scorer=scorer: [scorer.score(r, p)["rougeL"].fmeasure for p, r in zip(*first, strict=True)],
            300,
            columns,
        )
    package = Rouge(metrics=["rouge-l"], stats=["f"])
    against(
        "rouge",
        lambda: cf.rouge(*arrow, compat="rouge==1.0.1", threads=1),
        lambda: [package.get_scores(p, r)[0]["rouge-l"]["f"] for p, r in zip(*first, strict=True)],
        300,
        columns,
    )
    long = pairs(texts, 200, 2_000)
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    against(
        "rouge-score, 2,000 words",
        lambda: cf.rouge(*long, threads=1),
        lambda: [scorer.score(r, p)["rougeL"].fmeasure for p, r in list(zip(*long, strict=True))[:3]],
        300,
        long,
    )
    candidates, queries = columns[1], columns[0][:1_000]
    theirs = BM25Okapi([re.findall(r"[^\W_]+", text.lower()) for text in candidates])
    seconds_theirs, scores = timed(
        lambda: [theirs.get_scores(re.findall(r"[^\W_]+", query.lower())) for query in queries[:10]], 1
    )
    seconds, found = timed(lambda: cf.nearest(queries, candidates, threads=1), 2)
    best = found["score"].to_numpy()[:10]
    assert np.abs(best - [one.max() for one in scores]).max() < 1e-9, "not the same BM25 scores"
    print(f"  BM25, {len(candidates):,} candidates, the index of ours included and that of rank-bm25 not")
    report({"ours": seconds / len(queries), "rank-bm25": seconds_theirs / 10}, "ours", {"rank-bm25": 50})


if __name__ == "__main__":
    main()
