"""Evaluation sets as they are, asked of a tiny random model."""

from pathlib import Path

import pytest

import chaffinch as cf
from chaffinch.evaluation import code
from chaffinch.evaluation.task import rows_of, unchanged
from tests.score.tiny import save_tiny_model

pytestmark = pytest.mark.real

SETS = ("mmlu", "bbh", "gsm8k", "human-eval", "math", "ethics", "corr2cause-pp")


def test_local_files_are_asked_as_they_are(real: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    data = tmp_path / "data"
    data.mkdir()
    for name in SETS:
        (data / f"eval-{name}").symlink_to(real / f"eval-{name}")
    (data / "drop").mkdir()
    (data / "drop" / "fixture_dev.json").write_bytes((real / "allennlp-fixtures/rc/drop.json").read_bytes())
    found = cf.evaluate(
        model,
        suite="mmlu,bbh,drop,gsm8k,humaneval,math,ethics,corr2cause-pp",
        data=data,
        out=tmp_path / "out",
        limit=1,
        allow_code=True,
    )
    items = {(one["set"], one["shots"]): one["items"] for one in found.results}
    assert items["mmlu/test", 5] == items["mmlu/test", 0] == 39
    assert items["bbh/test", 3] == items["bbh/test", 0] == 16
    assert items["drop/validation", 3] == items["gsm8k/test", 5] == items["humaneval/test", 0] == 1
    assert items["ethics/test", 0] == 2
    assert all(0 <= one["score"] <= 1 for one in found.results)
    assert not found.skipped


def test_solutions_of_humaneval_pass_and_others_do_not(real: Path) -> None:
    rows = rows_of(real / "eval-human-eval/HumanEval.jsonl.gz")[::12]
    questions = code.humaneval(real, 0, unchanged).questions[::12]
    assert len(rows) == len(questions) == 14
    for row, question in zip(rows, questions, strict=True):
        solution = row["canonical_solution"]
        # As INSTRUCTEVAL cuts answers at a blank line, it cuts some solutions, too.
        assert code.passes(question, [solution]) == float("\n\n" not in solution.strip())
        assert code.passes(question, ["    pass"]) == 0.0
