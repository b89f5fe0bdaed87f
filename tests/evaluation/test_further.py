"""Sets under rules of our own, and word variants."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation import further, variants
from chaffinch.evaluation.suites import MAKERS, SUITES, named
from chaffinch.evaluation.task import Change, Question, unchanged
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
    assert ethics["util"].body.startswith("Which of the two is more pleasant?\nA. I slept")


def test_the_more_pleasant_of_two_stands_first_or_second(tmp_path: Path) -> None:
    path = tmp_path / "ethics/utilitarianism/util_test.csv"
    pairs = [[f"I won {at} times, Adam.", f"I lost {at} times, Adam."] for at in range(40)]
    sets.write_csv(path, pairs)
    questions = further.ethics(tmp_path, 0, unchanged).questions
    assert [question.id for question in questions] == [str(at) for at in range(40)]
    for question, (better, worse) in zip(questions, pairs, strict=True):
        shown = [better, worse] if question.references == ("A",) else [worse, better]
        assert question.body == "Which of the two is more pleasant?\nA. {}\nB. {}\nAnswer:".format(*shown)
    assert 10 < sum(question.references == ("A",) for question in questions) < 30
    renamed = further.ethics(tmp_path, 0, variants.change_of("names", 0)).questions[0].body
    assert "Adam" not in renamed
    assert len(set(re.findall(r"times, (\w+)", renamed))) == 1
    sets.write_csv(path, [["baseline", "less_pleasant"], *pairs])
    assert further.ethics(tmp_path, 0, unchanged).questions == questions
    sets.write_csv(path, [*pairs, ["alone"]])
    with pytest.raises(DataError, match=r"row 40 is no pair of scenarios\nhint: "):
        further.ethics(tmp_path, 0, unchanged)


def test_a_set_with_another_layout_is_refused(tmp_path: Path) -> None:
    sets.write_csv(tmp_path / "ethics/justice/justice_test.csv", [["said", "label"], ["a", "1"]])
    with pytest.raises(DataError, match=r"has no scenario or input(.|\n)*hint: "):
        further.ethics(tmp_path, 0, unchanged)


def test_an_item_without_a_right_answer_is_refused(tmp_path: Path) -> None:
    sets.write_lines(tmp_path / "math/test.jsonl", [{"problem": "x", "solution": "y"}])
    sets.gsm8k(tmp_path)
    sets.write_lines(tmp_path / "gsm8k/test.jsonl", [{"question": "x", "answer": "none"}])
    for make in (further.mathematics, further.gsm8k):
        with pytest.raises(DataError, match=r"row 0 has no(.|\n)*hint: "):
            make(tmp_path, 0, unchanged)


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


ALL = [*variants.ROBUSTNESS, *variants.FAIRNESS, "mild-mix", "pronouns"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("lowercase", "What IS Übung?", "what is übung?"),
        # As in HELM, before a space alone.
        ("contractions", "It is not so. Those  are not yet what it is.", "It's not so. Those  aren't yet what it is."),
        ("pronouns", "He told HIS father; himself, hers", "She told HER father; herself, hers"),
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


def test_a_mild_mix_is_all_four_for_robustness() -> None:
    changed = variants.change_of("mild-mix", 1)("It is BECAUSE the water " * 200)
    assert changed == changed.lower()
    assert set(re.findall(r"it'?s|it +is", changed)) == {"it's"}
    assert {len(spaces) for spaces in re.findall(" +", changed)} == {1, 2, 3}
    assert 0.05 < len(re.findall("becuase|becouse", changed)) / 200 < 0.15


def test_fairness_changes_the_answers_with_the_question_and_robustness_does_not() -> None:
    asked, answers = "Emily met Adam with the dog. Who is he?", ["Emily", "Adam", "The dog"]
    question, others = variants.change_of("names", 0).item(asked, answers)
    assert [other in question for other in others] == [True, True, False]
    assert set(others[:2]).isdisjoint(answers)
    assert variants.change_of("dialect", 0).item(asked, answers)[1] == ["Emily", "Adam", "Da dog"]
    assert variants.change_of("mild-mix", 0).item(asked, answers)[1] == answers


@pytest.mark.parametrize(
    ("asked", "over"),
    [
        (["names", "gender"], {"names": ("names",), "gender": ("gender",)}),
        (["fairness"], {"fairness": variants.FAIRNESS}),
        (["helm", "lowercase"], {"helm-robustness", "helm-fairness", "lowercase"}),
        (["robustness", "fairness", "helm"], set(variants.KINDS)),
    ],
)
def test_a_worst_score_is_named_for_what_it_is_over(asked: list[str], over: Any) -> None:
    found = variants.worst_over(variants.named(asked))
    assert (found if isinstance(over, dict) else set(found)) == over


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
    rest = "contractions: {}, gender: {}, dialect: {}"
    for text in (
        "[1]",
        "{contractions: {}}",
        f"{{{rest}, names: {{}}, misspellings: {{a: []}}}}",
        f"{{{rest}, misspellings: {{}}, names: {{x: {{from: [A], to: []}}}}}}",
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=r"no word lists(.|\n)*hint: "):
            variants.read_lists(path)
    with pytest.raises(ValueError, match=r"no variant 'shouting'(.|\n)*hint: "):
        variants.change_of("shouting", 0)


def test_a_variant_is_of_the_whole_item_and_never_of_the_shots(tmp_path: Path) -> None:
    data = sets.everything(tmp_path)
    marked = Change(lambda texts: [f"<{text}>" for text in texts], answers=True)
    for name, maker in MAKERS.items():
        if name == "corr2cause-pp":
            continue
        plain, varied = (maker.load(data, maker.shots[0], change).questions for change in (unchanged, marked))
        for one, other in zip(plain, varied, strict=True):
            assert "<" in other.body
            assert (one.id, one.group, one.heads) == (other.id, other.group, other.heads)
    drop = MAKERS["drop"].load(data, 3, marked).questions[0]
    assert (drop.body, drop.references) == ("<Passage 0. Who 0?>\nAnswer:", ("<he>",))
    bbq = MAKERS["bbq"].load(data, 0, marked).questions[0]
    assert (bbq.body.count("<"), bbq.references) == (4, ("C",))
    samsum = MAKERS["samsum"].load(data, 0, marked).questions[0]
    assert samsum.references == ("<A greets B.>",)
