"""Known truth: flan-cot's GSM8K questions are GSM8K's training half; human sources hold hardly any item."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from chaffinch.decontamination import load, self_test
from chaffinch.recipe.decontaminate import Decontaminate

pytestmark = pytest.mark.real

SETS = (
    "mmlu mmlu/dev bbh gsm8k gsm-hard humaneval math svamp asdiv mawps ethics corr2cause-pp/train koala hh-rlhf".split()
)


def plain(text: str) -> str:
    return re.sub(r"\W", "", text.lower())


@pytest.fixture(scope="module")
def built(real: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    recipe = {
        "base": "quickstart",
        "name": "flags",
        "decontaminate": {"against": [*SETS, "gsm8k/train", "mathqa"], "policy": "flag"},
    }
    out = cf.build(recipe, data=real, out=tmp_path_factory.mktemp("real") / "out").out
    return list(pq.read_table(out / "contamination.parquet").to_pylist())


def test_every_gsm8k_question_of_flan_cot_is_found(real: Path, built: list[dict[str, object]]) -> None:
    (_, items) = load(Decontaminate(against=["gsm8k/train"]), real)[0]
    file = next((real / "flan-cot").glob("gsm8k*"))
    rows = pa.input_stream(str(file), compression="detect").read().decode().split("\n")[:-1]
    questions = [row.split("\t")[0] for row in rows]
    there = {plain(question) for question in questions}
    assert there == {plain(question) for question in items["question"].to_pylist()}, "the truth itself"
    found = cf.contamination(questions, items.select(["question", "answer"]))
    whole = found.filter(pa.compute.equal(found["coverage"], 1.0))
    assert len(set(whole["item"].to_pylist())) == len(items)
    assert set(whole["row"].to_pylist()) == set(range(len(questions)))
    # In the build some of them are exact duplicates or too long, so nearly all.
    held = [row for row in built if row["source"] == "flan-cot" and row["evaluation_set"] == "gsm8k/train"]
    assert len(held) > 0.99 * len(questions)


def test_human_sources_hold_hardly_any_item(built: list[dict[str, object]]) -> None:
    found = [row for row in built if row["evaluation_set"] not in ("gsm8k/train", "mathqa/test")]
    by_source: dict[object, int] = {}
    for row in found:
        by_source[row["source"]] = by_source.get(row["source"], 0) + 1
    # All of these were read: questions of MMLU are in Natural Instructions, the others differ in a word or two.
    assert by_source.get("natural-instructions", 0) <= 12
    assert sum(by_source.values()) - by_source.get("natural-instructions", 0) <= 6
    assert not {"p3", "lima", "dolly", "alpaca", "code-alpaca", "llama-factory"} & set(by_source)


def test_the_self_test_has_full_recall_for_every_set(real: Path) -> None:
    spec = Decontaminate(against=SETS)
    table = pa.table({"instruction": ["Answer the following question."] * 1_000})
    for line in self_test(table, load(spec, real), spec):
        if line["kind"] in ("verbatim", "case", "spacing", "punctuation"):
            assert line["recall"] == 1.0, line
