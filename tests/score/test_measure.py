"""Scores against Birbal's scripts, written down in plain Python over the package they used."""

import random

import numpy as np
import pyarrow as pa
import pytest
from rouge import Rouge

from chaffinch.recipe.score import Generation
from chaffinch.stages.score import measure, task_accuracy

WORDS = ["Yes", "no.", "the cat", "The", "a.b", "ΣΑΣ", "İ", "42", "\u2028", "x\x1cy", "...", "naïve", "-", "cat the"]


def of_birbal(answer: str, references: list[str]) -> float:
    """`prepare_generation_tasks_dataset.py`'s score of a row, in its order of steps."""
    rouge, scores = Rouge(), []
    prediction = answer.strip()
    for reference in references:
        truth, prediction = reference.replace(".", ""), prediction.replace(".", "")
        if not truth and not prediction:
            truth = prediction = "DUMMY"
        truth = truth or prediction
        prediction = prediction or truth
        scores.append(rouge.get_scores(prediction.lower(), truth.lower())[0]["rouge-l"]["f"])
    return max(scores)


def text(chance: random.Random) -> str:
    return chance.choice(["", " ", ".", " . "]) + " ".join(chance.choices(WORDS, k=chance.choice([0, 1, 2, 5, 12])))


def test_generation_scores_are_birbals_to_the_last_bit() -> None:
    chance = random.Random(5)
    answers = [text(chance) for _ in range(3000)]
    references = [[text(chance) for _ in range(chance.choice([1, 1, 1, 2, 3]))] for _ in answers]
    expected = [of_birbal(answer, known) for answer, known in zip(answers, references, strict=True)]
    found = measure(answers, references, ["generation"] * len(answers))
    assert found.to_pylist() == expected
    for kind in (pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        labels = pa.array(["generation"] * len(answers)).cast(kind)
        assert measure(pa.array(answers, pa.string_view()), references, labels).equals(found)
    assert len({*expected}) > 50


def test_exact_match_strips_and_folds_nothing() -> None:
    chance = random.Random(6)
    answers = [text(chance) for _ in range(2000)]
    references = [[text(chance), answer] if at % 3 else [answer + " "] for at, answer in enumerate(answers)]
    found = measure(answers, references, ["exact_match"] * len(answers)).to_pylist()
    assert found == [float(answer in known) for answer, known in zip(answers, references, strict=True)]


def test_what_is_missing_has_no_score() -> None:
    answers = pa.array(["a", None, "a", "a", "a"], pa.large_string())
    references = pa.array([["a"], ["a"], [], ["a"], ["a"]], pa.list_(pa.string_view()))
    for label, score in (("exact_match", 1.0), ("generation", 2.0 / (2.0 + 1e-8))):
        labels = pa.chunked_array([[label, label, label, None], ["else"]])
        assert measure(answers, references, labels).to_pylist() == [score, None, None, None, None]


def test_the_recipe_chooses_package_and_form() -> None:
    spec = Generation(compat="rouge-score==0.1.2", metric="rouge1", normal_form="none")
    assert measure([" A.", ""], [["a"], ["a"]], ["generation"] * 2, spec).to_pylist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"has no rougeLsum\nhint: "):
        Generation(metric="rougeLsum")
    with pytest.raises(ValueError, match="answers"):
        measure(["a"], [["a"], ["b"]], ["generation"] * 2)
    with pytest.raises(ValueError, match="answers"):
        measure(["a"], [["a"], ["b"]], ["generation"])


def test_accuracy_counts_answered_rows() -> None:
    labels = pa.array(["exact_match"] * 5 + ["generation", None])
    scores = pa.array([1.0, 0.0, None, 1.0, None, 0.5, None])
    tasks = np.array([3, 3, 3, 0, 1, 2, 3], np.uint32)
    assert task_accuracy(tasks, labels, scores).to_pylist() == [0.5, 0.5, 0.5, 1.0, None, None, None]
