"""The report of a real build, where hostile text comes in through the files."""

import json
from pathlib import Path

import pytest

import chaffinch as cf
from chaffinch.report import write_report
from tests.unit.test_report import HOSTILE, Page


@pytest.mark.parametrize("form", ["parquet", "jsonl", "datasets"])
def test_hostile_rows_go_through_a_whole_build(tmp_path: Path, form: str) -> None:
    rows = [
        {"instruction": text, "input": f"{text} {number}", "output": text} for number, text in enumerate(HOSTILE * 3)
    ]
    data = tmp_path / "data"
    data.mkdir()
    lines = [json.dumps(row) for row in [*rows, *rows[:4]]] + [f'{{"instruction": {json.dumps(HOSTILE[0])}']
    (data / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    recipe = {
        "name": "hostile",
        "description": HOSTILE[1],
        "max_bad_fraction": 0.5,
        "sources": [{"name": "a", "files": "rows.jsonl"}],
        "dedup": {"exact": [{"on": ["prompt", "response"]}]},
        "sample": {"by": "source", "rows": {"a": 20}},
        "write": {"format": form, "rows_per_file": 7},
    }
    result = cf.build(recipe, data=data, out=tmp_path / "out")
    html = result.report.read_text(encoding="utf-8")
    page = Page(html)
    kept, removed, bad = len(result.table), len(result.ledger), len(result.quarantine)
    assert bad == 1
    assert f"{kept + removed + bad} in the files = {kept} kept + {removed} removed + {bad} quarantined." in page.text
    assert not {tag for tag, _ in page.elements} & {"script", "img", "iframe"}
    assert all(character.isprintable() or character in "\n\t" for character in html)
    assert write_report(result.out).read_text(encoding="utf-8") == html
    story = cf.why(result.out, result.table["row_id"][19].as_py())
    assert story.values["prompt"] == result.table["prompt"][19].as_py()
    assert story.file is not None
    gone = [cf.why(result.out, row_id) for row_id in result.ledger["row_id"].to_pylist()]
    assert {(row.stage, row.witness is None) for row in gone} == {("dedup", False), ("sample", True)}
