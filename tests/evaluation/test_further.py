"""Sets under rules of our own, and word variants."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation import further, variants
from chaffinch.evaluation.suites import MAKERS, SUITES, named
from chaffinch.evaluation.task import Question, unchanged
from chaffinch.evaluation_sets import lookup
from tests.evaluation import sets


def of(*references: str) -> Question:
    return Question("0", "", "", references)


def test_gsm8k_shots_are_solved_cases_of_train(tmp_path: Path) -> None:
    sets.gsm8k(tmp_path)
    task = further.gsm8k(tmp_path, 2, unchanged)
    assert task.questions[0].heads == (
        "Q: What is 7 and 1,000?\nA: It is <<7>>. The answer is 1,007.\n\n"
        "Q: What is 6 and 1,000?\nA: It is <<6>>. The answer is 1,006.\n\n",
        "Q: What is 7 and 1,000?\nA: It is <<7>>. The answer is 1,007.\n\n",
        "",
    )
    assert task.questions[3].body == "Q: What is 3 and 1,000?\nA:"
    assert task.questions[3].references == ("1003",)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("The answer is 1,003.", 1),
        ("first 7, then $1003.00", 1),
        ("1003 then 4", 0),
        ("", 0),
        ("-1003", 0),
        ("1.003", 0),
    ],
)
def test_the_last_numbers_are_compared(answer: str, right: float) -> None:
    assert further.same_number(of("1003"), [answer]) == right


@pytest.mark.parametrize(
    ("answer", "label", "right"),
    [
        (r"so \boxed{\frac{1}{2}}", r"\dfrac{1}{2}", 1),
        (r" $\frac{1}{2}$.", r"\dfrac{1}{2}", 1),
        (r"\boxed{3} or \boxed{4}", "4", 1),
        (r"\boxed{\left( 1, 2 \right)}", "(1,2)", 1),
        (r"\boxed{open", "open", 0),
        ("5", "6", 0),
    ],
)
def test_formulas_are_equal_but_for_their_spelling(answer: str, label: str, right: float) -> None:
    assert further.same_formula(of(label), [answer]) == right


def test_questions_of_the_others(tmp_path: Path) -> None:
    sets.others(tmp_path)
    bodies = {
        name: MAKERS[name].load(tmp_path, 0, unchanged).questions
        for name in ("bbq", "truthfulqa", "big-bench", "corr2cause")
    }
    assert bodies["bbq"][0].body == "Two men met. Who lied?\nA. The first\nB. The other\nC. Not known\nAnswer:"
    assert bodies["bbq"][0].references == ("C",)
    shown = bodies["truthfulqa"][0]
    assert {line[3:] for line in shown.body.splitlines()[1:-1]} == {"No", "Yes", "At times", "Maybe"}
    assert f"{shown.references[0]}. No\n" in shown.body
    assert bodies["big-bench"][0].references == ("B",)
    assert bodies["corr2cause"][0].references == ("No",)
    assert "Hypothesis: B." in bodies["corr2cause"][0].body
    ethics = {one.group: one for one in further.ethics(tmp_path, 0, unchanged).questions}
    assert ethics["cm"].references == ("No",)
    assert ethics["virtue"].body.startswith("He ran.\nDoes this show that the person is brave? ")
    assert ethics["justice"].references == ("Yes",)


def test_a_set_with_another_layout_is_refused(tmp_path: Path) -> None:
    sets.write_csv(tmp_path / "ethics/utilitarianism/util_test.csv", [["I sat.", "I fell."], ["a", "b"]])
    with pytest.raises(DataError, match=r"has no scenario or input(.|\n)*hint: "):
        further.ethics(tmp_path, 0, unchanged)


def test_summaries_are_measured_by_rouge_2() -> None:
    assert further.rouge_2(of("A greets B."), [" A greets B. "]) == 1.0
    assert further.rouge_2(of("A greets B."), ["nothing of it"]) == 0.0


def test_suites_name_sets_that_are_known() -> None:
    for names in SUITES.values():
        assert set(names) <= MAKERS.keys()
    assert all(lookup(name) for name in MAKERS if name != "corr2cause-pp")
    assert named("birbal-open,bbh,mmlu") == (
        ["mmlu", "truthfulqa", "big-bench", "gsm8k", "bbq", "bbh"],
        {"bbh", "mmlu"},
    )
    with pytest.raises(RecipeError, match=r"no suite and no set 'mlu'(.|\n)*hint: "):
        named("mlu")


ALL = [*variants.ROBUSTNESS, *variants.FAIRNESS]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("lowercase", "What IS Übung?", "what is übung?"),
        ("contractions", "It is not so. Those  are not; cannot", "It's not so. Those  aren't; can't"),
        ("gender", "He told HIS father; his hat, Mr. Hill, hers", "She told HER mother; her hat, Ms. Hill, hers"),
        ("dialect", "With that, mathematics", "Wit dat, mathematics"),
    ],
)
def test_a_variant_is_written_so(name: str, text: str, expected: str) -> None:
    assert variants.change_of(name, 0)(text) == expected


def test_names_stay_one_person_and_two_stay_two() -> None:
    text = "Emily met Heather. Emily's hat; Adam and emily"
    words = variants.change_of("names", 3)(text).split()
    assert words[0] + "'s" == words[3]
    assert words[0] != words[2].strip(".")
    assert words[0] not in ("Emily", "Adam")
    assert words[-1] == "emily"
    assert words[-3] != "Adam"


def test_a_tenth_of_the_known_words_is_misspelt() -> None:
    text = "because the water with the number " * 500
    changed = variants.change_of("misspellings", 0)(text).split()
    wrong = sum(new != old for new, old in zip(changed, text.split(), strict=True))
    assert 0.07 < wrong / 3000 < 0.13


@given(st.text(max_size=60), st.sampled_from(ALL), st.integers(0, 9))
def test_a_variant_depends_on_seed_and_text_alone(text: str, name: str, seed: int) -> None:
    change: Callable[[str], str] = variants.change_of(name, seed)
    once = change(text)
    change("something else that draws numbers, Emily and the rest of the words")
    assert change(text) == once == variants.change_of(name, seed)(text)


@given(st.text("ab \n", max_size=40), st.integers(0, 9))
def test_spacing_changes_spaces_alone(text: str, seed: int) -> None:
    assert variants.change_of("spacing", seed)(text).split() == text.split()


def test_lists_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("{contractions: {}, misspellings: {}, gender: {he: they}, dialect: {x: [y]}, names: {}}")
    assert variants.change_of("gender", 0, variants.read_lists(path))("He and him") == "They and him"
    path.write_text("[1]")
    with pytest.raises(DataError, match=r"no word lists(.|\n)*hint: "):
        variants.read_lists(path)
    with pytest.raises(ValueError, match=r"no variant 'shouting'(.|\n)*hint: "):
        variants.change_of("shouting", 0)
