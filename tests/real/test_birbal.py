"""Birbal on real data: every number of a build derived again in plain Python, from raw files and answers."""

import gzip
import json
import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rouge import Rouge

import chaffinch as cf
from chaffinch.cache import load_table
from chaffinch.recipe.label import CLOSED
from chaffinch.recipe.load import load_recipe
from chaffinch.stages import select
from chaffinch.store import Rows
from tests.birbal_twin import EDGES, SHARES, bucket_names
from tests.rows import row, store

pytestmark = pytest.mark.real

SEED = 42
POOLS = ("exact-match-pool", "generation-pool", "natural-instructions")


@dataclass(frozen=True)
class Raw:
    """A row as its file has it."""

    source: str
    task: str
    instruction: str
    input: str
    references: tuple[str, ...]


def raw_rows(real: Path, inputs: list[dict[str, Any]]) -> list[Raw]:
    found: list[Raw] = []
    for file in inputs:
        path = real / file["file"]
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        values = json.loads(text)
        before = len(found)
        if file["source"] == "lima":
            found += [Raw("lima", "lima", "", one["instruction"], (one["output"],)) for one in values]
        else:
            task = path.name.removesuffix(".gz").removesuffix(".json")
            definition = values["Definition"]
            instruction = definition if isinstance(definition, str) else "\n".join(definition)
            for one in values["Instances"]:
                output = one["output"]
                references = (output,) if isinstance(output, str) else tuple(output)
                if references:
                    found.append(Raw("natural-instructions", task, instruction, one["input"], references))
        assert len(found) - before == file["rows"]
    return found


def answers_of(out: Path) -> list[str | None]:
    """What the stage `score` kept: an answer for each row, in the order of the files."""
    for path in (out / ".chaffinch" / "decisions").glob("*.columns.arrow"):
        kept = load_table(path)
        if kept is not None and "answer" in kept[0].column_names:
            table = kept[0]
            answers: list[str | None] = table["answer"].to_pylist()
            return answers
    raise AssertionError("no answers were kept")


def is_exact(rows: list[Raw]) -> bool:
    """The rule of docs/recipes.md, with its defaults."""
    outputs = [one.references[0] for one in rows]
    words = sum(min(len(text.split()), 10) for text in outputs) / len(outputs)
    distinct = len(set(outputs))
    outside = sum(text.strip().casefold().removesuffix(".") not in CLOSED for text in outputs) / len(outputs)
    few = distinct <= 50 and distinct / len(outputs) <= 0.05 and words <= 5
    return few or words <= 1.5 or (distinct <= 50 and outside <= 0.05)


def rouge_l(rouge: Rouge, answer: str, references: tuple[str, ...]) -> float:
    best = 0.0
    for reference in references:
        said, truth = (text.lower().replace(".", "") for text in (answer.strip(), reference))
        said, truth = said or truth or "same", truth or said or "same"
        best = max(best, rouge.get_scores(said, truth)[0]["rouge-l"]["f"])
    return best


def words(text: str) -> int:
    return len(text.split(" "))


@pytest.fixture(scope="module")
def built(real: Path, tmp_path_factory: pytest.TempPathFactory) -> cf.Result:
    out = tmp_path_factory.mktemp("birbal") / "out"
    orders = {f"sample.{name}.order": "cpython" for name in POOLS}
    return cf.build("birbal-200k", data=real, out=out, set={"mode": "code", "seed": SEED, **orders})


def test_every_number_from_the_raw_files(real: Path, built: cf.Result) -> None:
    summary = built.summary
    rows = raw_rows(real, summary["inputs"])
    answers = answers_of(built.out)
    assert len(answers) == len(rows)
    listed = set((real / "birbal" / "selected_NI_tasks.txt").read_text().split())
    removed: dict[str, Counter[str]] = defaultdict(Counter)
    alive = []
    for at, one in enumerate(rows):
        if one.source == "natural-instructions" and one.task not in listed:
            removed["select"]["task not selected"] += 1
        elif not (one.instruction + one.input).strip():
            removed["clean"]["empty prompt"] += 1
        elif not one.references[0].strip():
            removed["clean"]["empty response"] += 1
        elif words(one.input) < 5:
            removed["clean"]["input under 5 space-split words"] += 1
        elif one.source == "lima" and words(f"{one.instruction} {one.input}") > 799:
            removed["clean"]["instruction+input over 799 space-split words"] += 1
        else:
            alive.append(at)
    assert len({rows[at].input for at in alive}) == len(alive)

    by_task: dict[str, list[int]] = defaultdict(list)
    for at in alive:
        if rows[at].source == "natural-instructions":
            by_task[rows[at].task].append(at)
    rouge, score, bucket, label = Rouge(), {}, {}, {}
    accuracy: dict[str, float] = {}
    for task, ours in by_task.items():
        label[task] = "exact_match" if is_exact([rows[at] for at in ours]) else "generation"
        for at in ours:
            answer = answers[at]
            assert answer is not None
            exact = label[task] == "exact_match"
            score[at] = float(answer in rows[at].references) if exact else rouge_l(rouge, answer, rows[at].references)
        if label[task] == "exact_match":
            accuracy[task] = sum(score[at] for at in ours) / len(ours)
        for at in ours:
            decile = f"decile {math.floor(int(accuracy.get(task, 0) * 100) / 10)}"
            within = [name for name, low in zip(bucket_names(), EDGES, strict=False) if score[at] >= low]
            bucket[at] = decile if task in accuracy else "above" if score[at] >= 0.8 else within[-1]

    pool: dict[str, dict[str, list[int]]] = {"exact_match": defaultdict(list), "generation": defaultdict(list)}
    for task in sorted(by_task):
        for at in by_task[task]:
            one = rows[at]
            if bucket[at] == "above":
                removed["bucket"]["score 0.8 or above"] += 1
            elif task in accuracy and score[at] == 1:
                removed["bucket"]["right answer"] += 1
            elif task in accuracy and words(f"{one.instruction} {one.input}") > 799:
                removed["bucket"]["instruction+input over 799 space-split words"] += 1
            else:
                pool[label[task]][f"{task}/{bucket[at]}"].append(at)

    taken: dict[str, Counter[str]] = {"exact_match": Counter(), "generation": Counter()}
    there = {name: Counter(dict.fromkeys((), 0)) for name in pool}
    left: dict[str, list[int]] = {}
    for name, strata in pool.items():
        generator, left[name] = random.Random(SEED), []
        for stratum in sorted(strata, key=lambda text: text.split("/")):
            ours, named = strata[stratum], stratum.split("/")[1]
            there[name][named] += len(ours)
            generator.shuffle(ours)
            if name == "exact_match":
                drawn = ours[: SHARES[int(named.split()[1])]]
            else:
                drawn = ours[: math.floor((0.8 if named == bucket_names()[0] else 0.2) * len(ours))]
            taken[name][named] += len(drawn)
            for at in drawn:
                one = rows[at]
                if name == "generation" and len(one.references) > 1:
                    removed["sample"]["over 1 references"] += 1
                elif name == "generation" and words(one.input) > 1100:
                    removed["sample"]["input over 1100 space-split words"] += 1
                elif name == "generation" and words(f"{one.instruction} {one.input}") > 799:
                    removed["sample"]["instruction+input over 799 space-split words"] += 1
                else:
                    left[name].append(at)
    candidates = sum(there[name].total() for name in pool)
    removed["sample"]["over quota"] = (
        candidates - len(left["exact_match"]) - len(left["generation"]) - sum(removed["sample"].values())
    )
    kept = {*left["exact_match"], *left["generation"]} | {at for at in alive if rows[at].source == "lima"}

    # Stages and sources.
    for stage in summary["stages"][1:]:
        assert stage["removed"] == dict(removed[stage["stage"]]), stage["stage"]
    assert summary["kept"] == len(kept)
    for source, counts in summary["sources"].items():
        assert counts["read"] == sum(one.source == source for one in rows)
        assert counts["kept"] == sum(rows[at].source == source for at in kept)
    # The steps of the sampler.
    for step, name in zip(summary["sample"], pool, strict=False):
        found = {one["stratum"]: (one["available"], one["taken"]) for one in step["strata"]}
        assert found == {named: (there[name][named], taken[name][named]) for named in there[name]}
    assert [(one["available"], one["taken"]) for one in summary["sample"][2]["strata"]] == [
        (len(left[name]),) * 2 for name in pool
    ]
    # Buckets, histogram and tasks.
    assert [(one["label"], one["bucket"], one["rows"], one["kept"]) for one in summary["buckets"]] == [
        (*key, count, sum((label[rows[at].task], bucket[at]) == key for at in kept if at in bucket))
        for key, count in sorted(Counter((label[rows[at].task], bucket[at]) for at in bucket).items())
    ]
    generation = [at for at in score if label[rows[at].task] == "generation"]
    for number, (count, in_mixture) in enumerate(summary["scores"]):
        inside = [at for at in generation if min(int(score[at] * 50), 49) == number]
        assert (count, in_mixture) == (len(inside), len(kept.intersection(inside)))
    assert built.tasks is not None
    for line in built.tasks.to_pylist():
        ours = by_task[line["task"]]
        assert (line["rows"], line["answered"], line["label"]) == (len(ours), len(ours), label[line["task"]])
        assert line["accuracy"] == accuracy.get(line["task"])
        assert line["mean_score"] == pytest.approx(sum(score[at] for at in ours) / len(ours), rel=1e-12)
        assert line["kept"] == len(kept.intersection(ours))
    # The mixture, row by row, with what it says of each.
    mixture = [*built.split("train").to_pylist(), *built.split("validation").to_pylist()]
    told = Counter((one["task"], one["input"], one["output"], one["answer_score"], one["bucket"]) for one in mixture)
    assert told == Counter(
        (rows[at].task, rows[at].input, rows[at].references[0], score.get(at), bucket.get(at)) for at in kept
    )
    # What the report shows are these numbers.
    page = built.report.read_text()
    for one in summary["buckets"]:
        assert f'<td>{one["bucket"]}</td><td class="n' in page
        assert f">{one['rows']:,}</td>" in page
        assert f">{one['kept']:,}</td>" in page


def test_rules_against_the_published_list(real: Path) -> None:
    table = json.loads((real / "natural-instructions" / "task_table.json").read_text())
    rows = [
        row(
            "x",
            source="natural-instructions",
            task=task["task"],
            category="; ".join(task["category"]) if isinstance(task["category"], list) else task["category"],
            language=f"{'; '.join(task['input_language'])}>{'; '.join(task['output_language'])}"
            if task["input_language"] != task["output_language"]
            else "; ".join(task["input_language"]),
        )
        for task in table
    ]
    recipe = load_recipe("birbal-200k", {"mode": "paper"})
    every = Rows([], recipe.sources)
    every.table = store(rows)
    decisions = select.run(every, np.arange(len(rows), dtype=np.uint32), recipe.select, real)
    assert decisions.notes == {
        "tasks chosen": 784,
        "of these listed": 461,
        "listed tasks in the data": 462,
        "precision": 0.588,
        "recall": 0.9978,
        "list": "birbal/selected_NI_tasks.txt",
    }


def test_paper_mode_names_what_real_data_lacks(real: Path, tmp_path: Path) -> None:
    table = {"sources.natural-instructions.task_table": "natural-instructions/task_table.json"}
    result = cf.build("birbal-200k", data=real, out=tmp_path / "out", set={"mode": "paper", **table})
    short = [text for text in result.summary["warnings"] if "rows asked" in text]
    assert {text.split(":")[0] for text in short} == {
        *("exact_match", "generation", "lima", "open-platypus", "natural-instructions", "openbookqa", "quac"),
        *("cnn-dailymail", "mathinstruct"),
    }
    assert "quac: 10,000 rows asked, 0 there, 0 taken" in short
    notes = next(stage["notes"] for stage in result.summary["stages"] if stage["stage"] == "select")
    assert notes["recall"] == 1.0
    assert result.tasks is not None
    shares = {"[0, 0.2)": 0.4} | dict.fromkeys(bucket_names()[1:], 0.1)
    rows = [*result.split("train").to_pylist(), *result.split("validation").to_pylist(), *result.ledger.to_pylist()]
    there = Counter((one["row_id"].split("/")[1], one["bucket"]) for one in rows if one["label"] == "generation")
    kept = Counter((one["task"], one["bucket"]) for one in rows if "prompt" in one and one["label"] == "generation")
    for (task, name), count in there.items():
        assert kept[task, name] == math.floor(shares.get(name, 0) * count)
