"""How tasks were answered, as the report draws it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chaffinch.output import TASKS
from chaffinch.report import write_report
from chaffinch.report.answers import MOST_COLUMNS, TALLEST, WIDTH, by_accuracy, by_score
from tests.unit import finished


def task(name: str, **more: Any) -> dict[str, Any]:
    told = {"source": "s", "task": name, "rows": 10, "distinct": 2, "words": 1.0, "outside": 0.5, "ratio": 0.7}
    told |= {"label": "exact_match", "decided_by": "rule", "borderline": False, "answered": 10, "mean_score": 0.5}
    return told | {"accuracy": 0.5, "bucket": "decile 5", "kept": 3} | more


def page(tmp_path: Path, tasks: list[dict[str, Any]], **manifest: Any) -> str:
    out = finished.finished_build(tmp_path / "out", **manifest)
    if tasks:
        pq.write_table(pa.Table.from_pylist(tasks), out / TASKS)
    return write_report(out).read_text()


def test_columns_rank_tasks_by_accuracy() -> None:
    columns = by_accuracy([task("b", accuracy=1.0, kept=5), task("a", accuracy=0.0, kept=50)])
    assert [column.up for column in columns] == [0.0, TALLEST]
    assert columns[0].down == 10 * columns[1].down
    assert columns[0].title == "a: accuracy 0.0 %, 50 rows taken"
    assert by_accuracy([]) == []


@pytest.mark.parametrize("tasks", [1, MOST_COLUMNS, MOST_COLUMNS + 1, 2_000])
def test_however_many_tasks_fit_the_drawing(tasks: int) -> None:
    columns = by_accuracy([task(f"t{at}", accuracy=at / tasks) for at in range(tasks)])
    assert len(columns) == min(tasks, MOST_COLUMNS)
    assert columns[-1].x + columns[-1].width <= WIDTH + 10
    assert [column.up for column in columns] == sorted(column.up for column in columns)


def test_the_histogram_lays_what_was_taken_over_all() -> None:
    columns = by_score([[10, 5], [0, 0], [20, 20]])
    assert [(column.up, column.down) for column in columns] == [(70, 35), (0, 0), (140, 140)]
    assert columns[0].title == "0.00 to 0.33: 10 rows, 5 taken"
    assert all(column.up == 0 for column in by_score([[0, 0]]))


def test_the_page_shows_labels_scores_buckets_and_borderline_tasks(tmp_path: Path) -> None:
    tasks = [task("t1"), task("t2<b>", label="generation", accuracy=None, borderline=True, ratio=1.2)]
    buckets = [{"label": "exact_match", "bucket": "decile 5", "rows": 1_234, "kept": 617}]
    text = page(tmp_path, tasks, buckets=buckets, scores=[[5, 1]] * 50)
    answers = text[text.index('<section id="answers">') : text.index('<section id="quarantine">')]
    assert "1 task of exact match with 10 rows, 1 task of generation with 10 rows" in answers
    assert answers.count("<svg") == 2
    assert "1,234</td>" in answers
    assert "50.0 %" in answers
    assert "t2&lt;b&gt;" in answers
    assert "<b>" not in answers
    assert "1.20" in answers


def test_the_choice_of_tasks_is_held_against_its_list(tmp_path: Path) -> None:
    notes = {"tasks chosen": 1_784, "of these listed": 461, "listed tasks in the data": 462, "precision": 0.588}
    notes |= {"recall": 0.9978, "list": "<list>.txt"}
    text = page(tmp_path, [task("t")], stages=[{**finished.stage("select", 5, {}), "notes": notes}])
    assert (
        "1,784 tasks, of which 461 are in <code>&lt;list&gt;.txt</code>: precision 58.8 %, recall 99.8 % of the 462"
        in text
    )


def test_a_build_without_labels_has_no_such_section(tmp_path: Path) -> None:
    assert 'id="answers"' not in page(tmp_path, [])


def test_a_build_with_labels_alone_draws_nothing(tmp_path: Path) -> None:
    bare = {
        name: value
        for name, value in task("t1").items()
        if name not in ("answered", "mean_score", "accuracy", "bucket")
    }
    text = page(tmp_path, [bare])
    assert "1 task of exact match" in text
    assert "Accuracy by task" not in text
