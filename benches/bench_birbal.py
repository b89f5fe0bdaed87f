"""Birbal's sampler: from predictions and references to buckets, and all of its scripts' own work beside them.

The peer is the plain-Python transcription that the tests hold the sampler against, with the package `rouge` that the
scripts used. Rows are drawn in CPython's own order, so that both must end with the same rows.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from common import DATA, header, peak_memory, report, timed

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.birbal_twin import Record, Tasks, bucket_names, combined, exact_pool, generation_pool
from tests.rows import everyone, row, store

from chaffinch import _core
from chaffinch.recipe.bucket import Bucket
from chaffinch.recipe.clean import Clean
from chaffinch.recipe.dedup import Dedup
from chaffinch.recipe.load import load_recipe
from chaffinch.stages import bucket, clean, dedup, sample, score
from chaffinch.stages import format as formatting
from chaffinch.synth.words import ADJECTIVES, NOUNS, VERBS

BATCH = 100_000
SECONDS_BAR, MEMORY_BAR, RATIO_BAR = 30.0, 2**30, 100.0
LABELS = ("exact_match", "generation")


def text(chance: random.Random, words: int) -> str:
    pool = (*ADJECTIVES, *NOUNS, *VERBS)
    return " ".join(chance.choices(pool, k=max(1, words + chance.randint(-5, 5))))


def records(rows: int, tasks: int) -> tuple[Tasks, Tasks]:
    """Tasks of exact match with a word each, and of generation with about 45 words a side."""
    chance = random.Random(11)
    made: tuple[Tasks, Tasks] = ({}, {})
    number = 0
    for at in range(tasks):
        exact = at % 2 == 0
        skill, ours = chance.random(), []
        for _ in range(rows // tasks):
            reference = chance.choice(NOUNS) if exact else text(chance, 45)
            other = chance.choice(NOUNS) if exact else text(chance, 45)
            left, right, cut = reference.split(), other.split(), chance.random() * skill
            answer = " ".join(left[: int(len(left) * cut)] + right[int(len(right) * cut) :])
            if exact and chance.random() < skill:
                answer = reference
            references = (reference,) if chance.random() < 0.95 else (reference, text(chance, 45))
            # One input in a hundred is another row's, with all that belongs to it.
            if ours and chance.random() < 0.01:
                again = chance.choice(ours)
                ours.append(Record(number, again.instruction, again.input, again.references, again.prediction))
            else:
                question = f"{text(chance, chance.choice([3, 40, 60, 90, 790]))} {number}"
                ours.append(Record(number, f"Answer as task {at} asks.", question, references, f"{answer}\n\nmore"))
            number += 1
        made[0 if exact else 1][f"task{at:04d}"] = ours
    return made


def scripts(exact: Tasks, generation: Tasks) -> tuple[Counter[tuple[str, str]], list[dict[str, str]]]:
    """Rows taken of each task and bucket, and the mixture."""
    counts: Counter[tuple[str, str]] = Counter()
    taken: list[int] = []
    for task, decile, rows in exact_pool(exact, random.Random(0)):
        counts[task, f"decile {decile}"] += len(rows)
        taken += rows
    names = bucket_names()
    for task, interval, _, _, rows in generation_pool(generation, random.Random(0)):
        counts[task, names[interval]] += len(rows)
        taken += rows
    by_number = {one.number: one for tasks in (exact, generation) for each in tasks.values() for one in each}
    return +counts, combined([by_number[at] for at in taken], random.Random(1))


def as_table(exact: Tasks, generation: Tasks) -> pa.Table:
    """What the stages see: the store's columns, the label and the answer."""
    all_rows = sorted(
        (one.number, task, label, one)
        for label, tasks in zip(LABELS, (exact, generation), strict=True)
        for task, ours in tasks.items()
        for one in ours
    )
    columns = [
        row(task=task, instruction=one.instruction, input=one.input, references=list(one.references))
        for _, task, _, one in all_rows
    ]
    labels = pa.array([label for _, _, label, _ in all_rows]).dictionary_encode()
    answers = pa.array([one.prediction for _, _, _, one in all_rows], pa.large_string())
    return store(columns).append_column("label", labels).append_column("prediction", answers)


def ours(table: pa.Table, order: str) -> tuple[Counter[tuple[str, str]], pa.Table]:
    """The same with our stages, in the scripts' order."""
    spec = load_recipe("birbal-200k", {"mode": "code", "seed": 0})
    assert spec.bucket is not None
    cut = pc.replace_substring_regex(table["prediction"], "(?s)\n\n.*", "")
    table, alive = measured(table.append_column("answer", cut), spec.bucket)
    steps = [step.model_copy(update={"order": order}) for step in spec.sample[:2]]
    alive = sample.run(table, alive, steps, 0, limits=clean.limits)[0].kept(alive)
    codes, names, _ = _core.factorize(table.select(["task", "bucket"]))
    named = [*zip(*(column.to_pylist() for column in pa.table(names).columns), strict=True)]
    counts = np.bincount(pa.array(codes).to_numpy()[alive], minlength=len(named)).tolist()
    long = Clean(lengths=[{"field": "instruction+input", "unit": "space", "max": 799}])
    short = Clean(lengths=[{"field": "input", "unit": "space", "min": 5}])
    alive = clean.run(table, alive, long).kept(alive)
    alive = dedup.run(table, alive, Dedup(exact=[{"on": ["input"]}])).kept(alive)
    alive = clean.run(table, alive, short).kept(alive)
    mixed = sample.order(table, alive, 1)
    rendered = formatting.run(table, mixed, formatting.load_template("birbal"))
    return Counter({name: count for name, count in zip(named, counts, strict=True) if count}), rendered


def measured(table: pa.Table, spec: Bucket) -> tuple[pa.Table, np.ndarray]:
    """The table with scores, accuracies and buckets, and the rows still in."""
    labels = table["label"].cast(pa.large_string())
    scores = score.measure(table["answer"], table["references"], labels)
    tasks = pa.array(_core.factorize(table.select(["task"]))[0]).to_numpy()
    table = table.append_column("score", scores)
    table = table.append_column("task_accuracy", score.task_accuracy(tasks, labels, scores))
    decisions = bucket.run(table, everyone(table), spec, limits=clean.limits)
    return table.append_column("bucket", decisions.columns["bucket"]), decisions.kept(everyone(table))


def prepare(rows: int) -> pa.Table:
    """The mapped table of predictions and references."""
    return pa.ipc.open_file(pa.memory_map(str(DATA / f"birbal-{rows}.arrow"))).read_all()


def to_buckets(table: pa.Table) -> pa.ChunkedArray:
    """From predictions and references to bucket ids."""
    return measured(table, Bucket())[0]["bucket"]


def make(rows: int) -> None:
    """Writes the file that `prepare` maps, once."""
    path = DATA / f"birbal-{rows}.arrow"
    if path.is_file():
        return
    path.parent.mkdir(exist_ok=True)
    table = as_table(*records(BATCH, 200)).select(["task", "label", "references", "prediction"])
    batch = table.rename_columns(["task", "label", "references", "answer"]).combine_chunks().to_batches()[0]
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        for _ in range(rows // BATCH):
            writer.write_batch(batch)


def verdict(name: str, value: float, bar: float, unit: str) -> None:
    print(f"  {name:<44} {value:8.2f} {unit}   bar {bar:g} {unit}: {'met' if value <= bar else 'MISSED'}")


def main() -> None:
    """Both comparisons."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=5_000_000)
    arguments.add_argument("--beside-scripts", type=int, default=100_000)
    options = arguments.parse_args()
    header("birbal", ["rouge"], rows=options.rows, beside_scripts=options.beside_scripts, threads=os.cpu_count())
    exact, generation = records(options.beside_scripts, 200)
    table = as_table(exact, generation)
    started = time.perf_counter()
    counts, mixture = scripts(exact, generation)
    seconds = time.perf_counter() - started
    times = {"the scripts in plain Python": seconds}
    for order in ("cpython", "content"):
        times[f"chaffinch, {order} order"], (found, rendered) = timed(lambda order=order: ours(table, order), 3)
        if order == "cpython":
            assert found == counts, "as many of each task and bucket"
            rows = zip(rendered["prompt"].to_pylist(), rendered["response"].to_pylist(), strict=True)
            assert Counter(rows) == Counter((one["question"], one["answer"]) for one in mixture), "the same mixture"
    print(
        f"  equal: {sum(counts.values()):,} rows of {len(counts):,} tasks and buckets, {len(mixture):,} in the mixture"
    )
    report(times, "chaffinch, cpython order", {"the scripts in plain Python": RATIO_BAR})
    make(options.rows)
    best, _ = timed(lambda: to_buckets(prepare(options.rows)), 2)
    verdict("predictions and references to buckets", best, SECONDS_BAR, "s")
    memory = peak_memory("bench_birbal", "to_buckets", options.rows) / 2**30
    verdict("memory beyond the mapped text", memory, MEMORY_BAR / 2**30, "GiB")


if __name__ == "__main__":
    main()
