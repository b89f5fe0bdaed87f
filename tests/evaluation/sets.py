"""Small evaluation sets in their makers' formats."""

import csv
import json
from pathlib import Path
from typing import Any

SUBJECTS = ("anatomy", "world_religions")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value))


def write_lines(path: Path, rows: list[Any]) -> None:
    write(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_csv(path: Path, rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def mmlu(data: Path, items: int = 4) -> None:
    """One subject as the original has it, without a header; one with header and indices."""
    rows = [
        [f"Which is number {at}?", f"one {at}", "two, or so", "three", "four", "ABCD"[at % 4]] for at in range(items)
    ]
    write_csv(data / "mmlu/test/anatomy_test.csv", rows)
    write_csv(
        data / "mmlu/dev/anatomy_dev.csv", [[f"Shot {at}?", "w", "x", "y", "z", "DCBA"[at % 4]] for at in range(5)]
    )
    header = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]
    write_csv(data / "mmlu/test/world_religions_test.csv", [header, ["He is who?", "a", "b", "c", "d", 1]])
    write_csv(
        data / "mmlu/dev/world_religions_dev.csv", [header, *([f"S{at}?", 1, 2, 3, 4, at % 4] for at in range(5))]
    )


def bbh(data: Path, items: int = 6) -> None:
    for task, target in (("boolean", "True"), ("word_sorting", "a b")):
        examples = [{"input": f"{task} {at} is", "target": target if at % 2 else "False"} for at in range(items)]
        write_json(data / f"bbh/{task}.json", {"canary": "no training", "examples": examples})


def span(*spans: str, number: str = "", **date: str) -> dict[str, Any]:
    return {"number": number, "date": {"day": "", "month": "", "year": "", **date}, "spans": list(spans)}


def drop(data: Path, passages: int = 8) -> None:
    sections = {}
    for at in range(passages):
        pairs = [
            {"question": f" Who {at}? ", "query_id": f"a{at}", "answer": span("he"), "validated_answers": [span("he")]},
            {"question": f"How many {at}?", "query_id": f"b{at}", "answer": span(number="3"),
             "validated_answers": [span(number="3"), span(number="4")]},
            {"question": f"When {at}?", "query_id": f"c{at}", "answer": span(),
             "validated_answers": [span(day="9", month="May", year="1980")]},
            {"question": f"Both {at}?", "query_id": f"d{at}", "answer": span(),
             "validated_answers": [span("two", number="2")]},
        ]  # fmt: skip
        sections[f"nfl_{at}"] = {"passage": f" Passage {at}. ", "qa_pairs": pairs}
    write_json(data / "drop/drop_dataset_dev.json", sections)


def crass(data: Path) -> None:
    lines = ["PCTID;Nr;Premise;QCC;CorrectAnswer;Answer1;Answer2;PossibleAnswer3"]
    lines += [f"{at};{at};A man walks {at}. ;What if he ran?; Right {at}.;Wrong one.;Wrong two.;" for at in range(12)]
    lines += ["99;99;A dog sits.;What if it stood?;Up.;Down.;Left.;Nowhere."]
    write(data / "crass/CRASS_FTM_main_data_set.csv", "\n".join(lines) + "\n")


def humaneval(data: Path) -> None:
    rows = [
        {
            "task_id": f"HumanEval/{at}",
            "prompt": 'def add(a, b):\n    """Adds."""\n',
            "entry_point": "add",
            "canonical_solution": "    return a + b\n",
            "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        }
        for at in range(2)
    ]
    write_lines(data / "human-eval/HumanEval.jsonl", rows)


def hhh(data: Path) -> None:
    for group in ("harmless", "honest"):
        examples = [
            {"input": f"Is {at} {{odd}}?", "target_scores": {f"Yes {at}.": at % 2, f"No {at}.": 1 - at % 2}}
            for at in range(3)
        ]
        write_json(data / f"hhh/{group}/task.json", {"examples": examples})


def impact(data: Path) -> None:
    row = {"Category": "Creative", "Definition": "Write a story.", "Prompt": "About a hen", "Answer": "", "Score": 0}
    write_lines(data / "impact/impact.jsonl", [row, {**row, "Prompt": "About a fox"}])


def gsm8k(data: Path) -> None:
    rows = [
        {"question": f"What is {at} and 1,000?", "answer": f"It is <<{at}>>.\n#### {at + 1000:,}"} for at in range(8)
    ]
    write_lines(data / "gsm8k/test.jsonl", rows)
    write_lines(data / "gsm8k/train.jsonl", rows[::-1])


def others(data: Path) -> None:
    write_lines(
        data / "math/test.jsonl", [{"problem": "Half?", "solution": r"So $\boxed{\dfrac{1}{2}}$.", "type": "Algebra"}]
    )
    header = ["Type", "Question", "Best Answer", "Correct Answers", "Incorrect Answers"]
    write_csv(
        data / "truthfulqa/TruthfulQA.csv", [header, ["x", "Is it flat?", "No", "No; Never", "Yes; At times; Maybe"]]
    )
    row = {
        "context": "Two men met.",
        "question": "Who lied?",
        "ans0": "The first",
        "ans1": "The other",
        "ans2": "Not known",
    }
    write_lines(data / "bbq/Age.jsonl", [{**row, "label": 2, "category": "Age"}])
    write_csv(data / "ethics/justice/justice_test.csv", [["label", "scenario"], [1, "I pay what I owe."]])
    write_csv(data / "ethics/virtue/virtue_test.csv", [["label", "scenario"], [0, "He ran. [SEP] brave"]])
    write_csv(data / "ethics/commonsense/cm_test.csv", [["label", "input"], [1, "I stole."]])
    write_csv(data / "ethics/utilitarianism/util_test.csv", [["I slept well.", "I slept, but badly."]])
    write_lines(data / "corr2cause/test.jsonl", [{"input": "Premise: A.\nHypothesis: B.", "label": 0}])
    write_lines(data / "samsum/test.jsonl", [{"dialogue": "A: Hi\nB: Bye", "summary": "A greets B."}])
    tasks = {"examples": [{"input": "2 and 2?", "target_scores": {"3": 0, "4": 1}}]}
    write_json(data / "big-bench/sums/task.json", tasks)


def with_more(data: Path) -> None:
    """What lm-evaluation-harness alone reads of BBQ and TruthfulQA, and MATH of two subjects."""
    infos = {"ans0": ["Bo", "old"], "ans1": ["Al", "nonOld"], "ans2": ["Not known", "unknown"]}
    row = {"context": "Bo, 90, met Al, 20.", "category": "Age", "answer_info": infos,
           "additional_metadata": {"stereotyped_groups": ["old"], "subcategory": "None"},
           "ans0": "Bo", "ans1": "Al", "ans2": "Not known"}  # fmt: skip
    asked = [("Who forgot it?", "neg", "ambig", 2), ("Who knew it?", "nonneg", "disambig", 1)]
    rows = [
        row | {"question": question, "question_polarity": polarity, "context_condition": condition, "label": label}
        for question, polarity, condition, label in asked
    ]
    write_lines(data / "bbq/Age.jsonl", rows)
    write_lines(data / "bbq/SES.jsonl", [one | {"category": "SES"} for one in rows])
    targets = [{"No.": 1, "Yes.": 0, "At times.": 0}, {"Blue.": 1, "Red.": 0}]
    questions = [
        {"question": f"Which {at}?", "mc1_targets": of, "mc2_targets": of | {"Neither.": 1}}
        for at, of in enumerate(targets)
    ]
    write_json(data / "eval-truthfulqa/mc_task.json", questions)
    solved = [(r"So $\boxed{4}$.", "Number Theory"), (r"It is \boxed 3", "Algebra"), (r"$\boxed{5}$", "Algebra")]
    problems = [{"problem": "2 + 2?", "solution": solution, "type": of, "level": "1"} for solution, of in solved]
    write_lines(data / "math/test.jsonl", problems)


def everything(data: Path) -> Path:
    for make in (mmlu, bbh, drop, crass, humaneval, hhh, impact, gsm8k, others):
        make(data)
    return data
