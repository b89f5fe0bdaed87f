"""Birbal's sampler against its published scripts' steps in plain Python, for a hundred seeds."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chaffinch.recipe.load import load_recipe
from chaffinch.recipe.model import Recipe
from chaffinch.stages import bucket, clean, sample, score
from tests.birbal_twin import SHARES, Record, Tasks, bucket_names, exact_pool, generation_pool
from tests.rows import everyone, row, store

SEEDS = range(100)
FACTOR = 0.03
POOL = {"exact_match": 40, "generation": 45}
WORDS = "the a cat dog sat ran on mat river. stone, yes no maybe blue green 12 café".split(" ")


def said(chance: random.Random, most: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(0, most)))


def corpus(seed: int) -> tuple[Tasks, Tasks]:
    """Tasks of exact match and of generation, rows numbered in the order of tasks."""
    chance = random.Random(seed)
    number, made = 0, ({}, {})
    for at in range(14):
        exact = at % 2 == 0
        records = []
        labels = chance.sample(WORDS, chance.randint(2, 4))
        skill = chance.random()
        for _ in range(chance.randint(8, 50)):
            reference = chance.choice(labels) if exact else said(chance, 9)
            references = [reference] if chance.random() < 0.8 else [reference, said(chance, 5)]
            prediction = chance.choice(labels) if exact else said(chance, 9)
            if chance.random() < skill:
                prediction = reference if exact else " ".join(reference.split(" ")[: chance.randint(1, 9)])
            prediction += chance.choice(["", "", "\n\n### Input: more", "\n\n\n", " "])
            words = chance.choice([5, 5, 5, 5, 5, 795, 798, 799, 1_099, 1_101])
            text = " ".join(["word"] * words) + f" {number}"
            records.append(Record(number, "Say it.", text, tuple(references), prediction))
            number += 1
        made[0 if exact else 1][f"task{at:03d}"] = records
    return made


def recipe(seed: int, order: str) -> Recipe:
    changes: dict[str, Any] = {"mode": "code", "seed": seed}
    changes |= {
        f"sample.{name}.order": order for name in ("exact-match-pool", "generation-pool", "natural-instructions")
    }
    changes |= {f"sample.exact-match-pool.rows.decile {at}": int(rows * FACTOR) for at, rows in enumerate(SHARES)}
    changes |= {f"sample.natural-instructions.rows.{label}": rows for label, rows in POOL.items()}
    return load_recipe("birbal-200k", changes)


def sampled(exact: Tasks, generation: Tasks, spec: Recipe, steps: int) -> tuple[np.ndarray, list[str | None]]:
    """The rows that the first so many steps of our sampler leave, and every row's bucket."""
    both = dict(zip(POOL, (exact, generation), strict=True))
    labelled = ((one, task, label) for label, tasks in both.items() for task in tasks for one in tasks[task])
    records = sorted(labelled, key=lambda one: one[0].number)
    table = store(
        [
            row(
                source="natural-instructions",
                task=task,
                instruction=one.instruction,
                input=one.input,
                references=list(one.references),
            )
            for one, task, _ in records
        ],
        chunk=77,
    )
    assert spec.score is not None
    assert spec.bucket is not None
    labels = pa.array([label for _, _, label in records])
    answers = pa.array([one.prediction.split("\n\n")[0] for one, _, _ in records], pa.large_string())
    scores = score.measure(answers, table["references"], labels, spec.score.generation)
    codes = np.unique(np.array([task for _, task, _ in records]), return_inverse=True)[1]
    table = table.append_column("label", [labels]).append_column("answer", [answers]).append_column("score", [scores])
    table = table.append_column("task_accuracy", [score.task_accuracy(codes, labels, scores)])
    alive = everyone(table)
    sorted_in = bucket.run(table, alive, spec.bucket, limits=clean.limits)
    table = table.append_column("bucket", sorted_in.columns["bucket"])
    alive = sorted_in.check(alive)
    decisions, _ = sample.run(table, alive, spec.sample[:steps], spec.seed, limits=clean.limits)
    return decisions.check(alive), table["bucket"].to_pylist()


@pytest.mark.parametrize("seed", SEEDS)
def test_pools_are_those_of_the_scripts(seed: int) -> None:
    exact, generation = corpus(seed)
    deciles = {task: (decile, rows) for task, decile, rows in exact_pool(exact, random.Random(seed), FACTOR)}
    intervals = [*generation_pool(generation, random.Random(seed))]
    kept, buckets = sampled(exact, generation, recipe(seed, "cpython"), 2)
    assert kept.tolist() == sorted(
        [at for _, rows in deciles.values() for at in rows] + [at for *_, rows in intervals for at in rows]
    )
    for task, (decile, _) in deciles.items():
        assert {buckets[one.number] for one in exact[task]} == {f"decile {decile}"}
    for task, number, rows, _, _ in intervals:
        assert sum(buckets[one.number] == bucket_names()[number] for one in generation[task]) == rows
    # Our own order draws other rows, but as many of each task.
    ours, _ = sampled(exact, generation, recipe(seed, "content"), 1)
    task_of = {one.number: task for task, records in exact.items() for one in records}
    counts = Counter(task_of[at] for at in ours.tolist() if at in task_of)
    assert counts == Counter({task: len(rows) for task, (_, rows) in deciles.items() if rows})


@pytest.mark.parametrize("seed", range(20))
def test_as_many_of_each_bucket_are_drawn_in_our_own_order(seed: int) -> None:
    exact, generation = corpus(seed)
    spec = recipe(seed, "content")
    pool = spec.sample[1].model_copy(update={"limits": spec.sample[0].limits})
    spec = spec.model_copy(update={"sample": [spec.sample[0], pool]})
    kept, buckets = sampled(exact, generation, spec, 2)
    task_of = {one.number: task for task, records in generation.items() for one in records}
    drawn = Counter((task_of[at], buckets[at]) for at in kept.tolist() if at in task_of)
    expected = {
        (task, bucket_names()[number]): count
        for task, number, _, count, _ in generation_pool(generation, random.Random(seed))
    }
    assert drawn == Counter({key: count for key, count in expected.items() if count})


@pytest.mark.parametrize("seed", range(20))
def test_the_last_draw_is_python_s_shuffle_of_each_pool(seed: int) -> None:
    exact, generation = corpus(seed)
    pools = {
        "exact_match": [at for _, _, rows in exact_pool(exact, random.Random(seed), FACTOR) for at in rows],
        "generation": [at for *_, rows in generation_pool(generation, random.Random(seed)) for at in rows],
    }
    generator, expected = random.Random(seed), []
    for label, rows in pools.items():
        rows = sorted(rows)
        generator.shuffle(rows)
        expected += rows[: POOL[label]]
    kept, _ = sampled(exact, generation, recipe(seed, "cpython"), 3)
    assert kept.tolist() == sorted(expected)
