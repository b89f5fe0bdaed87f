"""1 M rows of about 580 bytes against 100 k evaluation items, on two cores, beside 13-grams in Python's sets.

Rows and items are made of real sentences of ../shared/data where it is, else of synthetic ones: a row is a run of
sentences, an item two sentences that no row has. One row in a hundred holds an item. The peer is what
GPT-3's appendix describes and most pipelines do: the set of all 13-grams of the items, and every 13-gram of every row
looked up in it. It says whether a row shares any, not which item or how much; short items it cannot find. It is timed
on a part of the rows.
"""

import argparse
import os
import random
import re
from pathlib import Path

import pyarrow as pa
from common import DATA, header, peak_memory, report, timed

import chaffinch as cf
from chaffinch.files import read_table
from chaffinch.synth.words import sentence

REAL = Path(__file__).parents[2] / "shared" / "data"
ROW_BYTES = 580
WORDS = re.compile(r"[a-z0-9]+")
PEER_ROWS = 50_000
CHECKED_ROWS = 3_000
BAR_SECONDS = 20.0


def sentences() -> list[str]:
    """Sentences to make texts of."""
    found: set[str] = set()
    for path in sorted([*REAL.glob("alpaca/*.json*"), *REAL.glob("dolly/*.json*"), *REAL.glob("lima/lima.json*")]):
        for column in read_table(path).columns:
            for text in column.to_pylist():
                found.update(part.strip() for part in re.split(r"(?<=[.!?])\s", str(text)) if 40 < len(part) < 400)
    chance = random.Random(3)
    return sorted(found) or [sentence(chance.getrandbits(64)) for _ in range(60_000)]


def file_of(name: str, count: int) -> Path:
    return DATA / f"decontaminate-{name}-{count}.arrow"


def make(rows: int, items: int) -> None:
    """Rows and items, once."""
    DATA.mkdir(exist_ok=True)
    chance, known = random.Random(7), sentences()
    own = [known[at] for at in chance.sample(range(len(known)), min(len(known) // 2, items))]
    used = set(own)
    common = [one for one in known if one not in used]
    # Fewer sentences than items, so an item is two of them and its number.
    questions = [f"{chance.choice(own)} {number} {chance.choice(own)}" for number in range(items)]
    _write(file_of("items", items), questions)
    texts = []
    for _ in range(rows):
        text = ""
        while len(text) < ROW_BYTES:
            text += chance.choice(common) + " "
        if chance.random() < 0.01:
            text = f"{text[: ROW_BYTES // 2]} {chance.choice(questions)}"
        texts.append(text)
    _write(file_of("rows", rows), texts)


def _write(path: Path, texts: list[str]) -> None:
    table = pa.table({"text": pa.array(texts, pa.large_string())})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, 65_536)


def mapped(path: Path) -> pa.ChunkedArray:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()["text"]


def prepare(rows: int) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    return mapped(file_of("rows", rows)), mapped(file_of("items", max(1, rows // 10)))


def ours(state: tuple[pa.ChunkedArray, pa.ChunkedArray]) -> pa.Table:
    return cf.contamination(*state, threads=2)


def ngrams(text: str, length: int = 13) -> set[tuple[str, ...]]:
    words = WORDS.findall(text.lower())
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def python_sets(texts: list[str], known: set[tuple[str, ...]]) -> list[bool]:
    """Whether each row shares a 13-gram with any item."""
    return [not known.isdisjoint(ngrams(text)) for text in texts]


def check(rows: pa.ChunkedArray, items: pa.ChunkedArray) -> None:
    """On some rows: the same coverages as every n-gram of every row against every n-gram of every item."""
    texts, questions = rows.slice(0, CHECKED_ROWS).to_pylist(), items.to_pylist()
    plain = [(text, item) for text, item in zip(texts, texts, strict=True) if text.isascii()]
    texts = [text for text, _ in plain]
    long = [one for one in questions if one.isascii() and len(WORDS.findall(one.lower())) >= 13][:5_000]
    of_gram: dict[tuple[str, ...], set[int]] = {}
    for number, one in enumerate(long):
        for gram in ngrams(one):
            of_gram.setdefault(gram, set()).add(number)
    expected = {}
    for row, text in enumerate(texts):
        there = ngrams(text)
        for number in {number for gram in there for number in of_gram.get(gram, ())}:
            words = WORDS.findall(long[number].lower())
            starts = [at for at in range(len(words) - 12) if tuple(words[at : at + 13]) in there]
            covered = {at + offset for at in starts for offset in range(13)}
            if len(covered) / len(words) >= 0.5:
                expected[row, number] = len(covered) / len(words)
    found = cf.contamination(texts, long, common=2**32 - 1).to_pylist()
    assert {(one["row"], one["item"]): one["coverage"] for one in found} == expected, (
        "coverages are those of brute force"
    )
    print(f"  checked: {len(expected)} matches of {len(texts):,} rows and {len(long):,} items are brute force's")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    rows, items = options.rows, max(1, options.rows // 10)
    if not file_of("rows", rows).exists() or not file_of("items", items).exists():
        make(rows, items)
    texts, questions = prepare(rows)
    header("decontaminate", ["pyarrow"], rows=rows, items=items, bytes=texts.nbytes, cores=os.cpu_count())
    check(texts, questions)
    seconds, found = timed(lambda: ours((texts, questions)), options.repeats)
    index, _ = timed(lambda: cf.contamination([""], questions, threads=2), 1)
    print(f"  {found.num_rows:,} matches in {len(set(found['row'].to_pylist())):,} rows; {index:.2f} s for the index")
    verdict = "met" if seconds < BAR_SECONDS else "MISSED"
    print(f"  {rows:,} rows against {items:,} items: {seconds:.2f} s   bar {BAR_SECONDS:g} s: {verdict}")
    known = set().union(*(ngrams(one) for one in questions.to_pylist()))
    part = texts.slice(0, PEER_ROWS)
    in_python = part.to_pylist()
    theirs, hits = timed(lambda: python_sets(in_python, known), 1)
    mine, few = timed(lambda: cf.contamination(part, questions, threads=1), 1)
    print(f"  of {len(part):,} rows, with the index made beforehand for the sets alone ({sum(hits):,} share a 13-gram,")
    print(f"  {len(set(few['row'].to_pylist())):,} hold half of an item), one core each:")
    report({"chaffinch contamination": mine, "13-grams in Python's sets": theirs}, "chaffinch contamination")
    peak = peak_memory("bench_decontaminate", "ours", rows)
    words = sum(len(WORDS.findall(one.lower())) for one in questions.to_pylist())
    print(
        f"  peak anonymous memory {peak / 2**20:,.0f} MiB, {peak / words:.0f} bytes a word of the items"
        f" ({words:,} words)"
    )


if __name__ == "__main__":
    main()
