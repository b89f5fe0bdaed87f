"""ROUGE and BM25 beside the Python packages that they reproduce."""

import argparse
import os
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import rouge_score_rs as rouge_score_port
from common import header, report, timed
from rank_bm25 import BM25Okapi
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist
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


def unlike_ends(columns: tuple[list[str], list[str]]) -> tuple[list[str], list[str]]:
    """The same pairs with other first and last words: what both sides begin and end with is scored for little."""
    predictions, references = columns
    return [f"first {one} last" for one in predictions], [f"start {one} end" for one in references]


class Peer(NamedTuple):
    """A package, how it scores pairs one by one, and how much faster ours has to be."""

    name: str
    score: Callable[[list[str], list[str]], list[float]]
    bar: float
    pairs: int = PEER_PAIRS


def compare(what: str, columns: tuple[list[str], list[str]], peers: list[Peer], **options: Any) -> None:
    """Equality on the peers' share of the pairs, then the best time for a pair of each, taken in turn."""
    count = len(columns[0])
    arrow = [pa.array(column) for column in columns]
    found = cf.rouge(*arrow, threads=1, **options)["f1"].to_pylist()
    works: dict[str, tuple[Callable[[], Any], int]] = {
        "from lists of str": (lambda: cf.rouge(*columns, threads=1, **options), count),
        "ours": (lambda: cf.rouge(*arrow, threads=1, **options), count),
    }
    for peer in peers:
        part = [column[: peer.pairs] for column in columns]
        expected = peer.score(*part)
        assert found[: len(expected)] == expected, f"{peer.name}: not the same scores"
        works[peer.name] = (lambda peer=peer, part=part: peer.score(*part), len(expected))
    best = dict.fromkeys(works, float("inf"))
    for _ in range(3):
        for name, (work, pairs) in works.items():
            best[name] = min(best[name], timed(work, 1)[0] / pairs)
    rates = ", ".join(f"{name} {1 / seconds:,.0f}" for name, seconds in best.items())
    print(f"{what}: equal on {min(count, PEER_PAIRS):,} pairs; pairs/s: {rates}")
    report({name: seconds * count for name, seconds in best.items()}, "ours", {peer.name: peer.bar for peer in peers})


def rouge_score(bar: float = 300, pairs: int = PEER_PAIRS, stemmer: bool = False) -> Peer:
    """The package of Google Research."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=stemmer)

    def score(predictions: list[str], references: list[str]) -> list[float]:
        return [scorer.score(r, p)["rougeL"].fmeasure for p, r in zip(predictions, references, strict=True)]

    return Peer(f"rouge-score {version('rouge-score')}", score, bar, pairs)


def rouge_score_rs(stemmer: bool = False) -> Peer:
    """Its port to Rust, a call for all pairs; on one thread too, by `RAYON_NUM_THREADS` in `main`."""
    scorer = rouge_score_port.RougeScorer(["rougeL"], use_stemmer=stemmer)

    def score(predictions: list[str], references: list[str]) -> list[float]:
        return [one["rougeL"].fmeasure for one in scorer.score_batch(references, predictions)]

    return Peer(f"rouge-score-rs {version('rouge-score-rs')}", score, 2.5, 20_000)


def rouge(bar: float = 300) -> Peer:
    """The package that Birbal's scripts used."""
    package = Rouge(metrics=["rouge-l"], stats=["f"])

    def score(predictions: list[str], references: list[str]) -> list[float]:
        return [package.get_scores(p, r)[0]["rouge-l"]["f"] for p, r in zip(predictions, references, strict=True)]

    return Peer(f"rouge {version('rouge')}", score, bar)


def against_a_pool(texts: list[str], pool: list[str]) -> None:
    """The filter of Self-Instruct: one text, and a hundred, against ten thousand."""
    numbers: dict[str, int] = {}
    tokens = [
        [numbers.setdefault(word, len(numbers)) for word in re.findall("[a-z0-9]+", text.lower())]
        for text in [*texts, *pool]
    ]
    lengths = np.array([len(one) for one in tokens])
    for many in (len(texts), 1):
        queries, candidates = tokens[:many], tokens[len(texts) :]
        theirs_seconds, common = timed(
            lambda q=queries, c=candidates: cdist(q, c, scorer=LCSseq.similarity, workers=1, dtype=np.int32), 3
        )
        f1 = 2 * common / (lengths[:many, None] + lengths[None, len(texts) :])
        asked = pa.array(texts[:many])
        with_pool, found = timed(lambda a=asked: cf.RougePool(pool).most_similar(a, threads=1), 3)
        prepared = cf.RougePool(pool)
        seconds, _ = timed(lambda a=asked, p=prepared: p.most_similar(a, threads=1), 5)
        assert np.abs(found["f1"].to_numpy() - f1.max(axis=1)).max() < 1e-12, "not the same highest F1"
        ours_rate, rate = (many * len(pool) / one for one in (seconds, theirs_seconds))
        print(f"{many} against a pool of {len(pool):,}: pairs/s: ours {ours_rate:,.0f}, rapidfuzz {rate:,.0f}")
        name = f"rapidfuzz {version('rapidfuzz')}, tokens given as numbers"
        report({"ours, pool prepared": seconds, name: theirs_seconds}, "ours, pool prepared", {name: 1})
        report({"ours, the pool read too": with_pool, name: theirs_seconds}, "ours, the pool read too", {name: 1})


def main() -> None:
    """Runs every comparison."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=100_000)
    count = arguments.parse_args().pairs
    os.environ["RAYON_NUM_THREADS"] = "1"
    header("rouge", ["rouge-score", "rouge", "rouge-score-rs", "rapidfuzz", "rank-bm25"], pairs=count, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        texts = real_texts(Path(folder))
    columns = pairs(texts, count, 45)
    compare("rougeL", columns, [rouge_score(), rouge_score_rs()])
    compare("rougeL, other ends", unlike_ends(columns), [rouge_score(), rouge_score_rs()])
    compare("rougeL stemmed", columns, [rouge_score(stemmer=True), rouge_score_rs(stemmer=True)], stemmer=True)
    compare("rougeL of rouge", columns, [rouge()], compat="rouge==1.0.1")
    compare("rougeL, 2,000 words", pairs(texts, 200, 2_000), [rouge_score(pairs=3)])
    against_a_pool(columns[0][:100], columns[1][:10_000])
    candidates, queries = columns[1], columns[0][:1_000]
    theirs = BM25Okapi([re.findall(r"[^\W_]+", text.lower()) for text in candidates])
    seconds_theirs, scores = timed(
        lambda: [theirs.get_scores(re.findall(r"[^\W_]+", query.lower())) for query in queries[:10]], 1
    )
    seconds, found = timed(lambda: cf.nearest(queries, candidates, threads=1), 2)
    best = found["score"].to_numpy()[:10]
    assert np.abs(best - [one.max() for one in scores]).max() < 1e-9, "not the same BM25 scores"
    print(f"BM25, {len(candidates):,} candidates, the index of ours included and that of rank-bm25 not")
    report({"ours": seconds / len(queries), "rank-bm25": seconds_theirs / 10}, "ours", {"rank-bm25": 50})


if __name__ == "__main__":
    main()
