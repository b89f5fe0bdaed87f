"""The quickstart's report against a count in plain Python that shares no code with the package."""

import csv
import gzip
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf

pytestmark = pytest.mark.real

QUOTAS = {
    "natural-instructions": 8000,
    "p3": 5000,
    "flan-cot": 4000,
    "lima": 500,
    "dolly": 1000,
    "alpaca": 2000,
    "code-alpaca": 1000,
    "llama-factory": 500,
}
Row = tuple[str, str, str, str]  # source, language, prompt, response
BAD = "bad"


def text_of(path: Path) -> str:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return raw.decode("utf-8-sig")


def stem(path: Path) -> str:
    return re.sub(r"(\.(json|jsonl|tsv|gz))+$", "", path.name)


def prompt_of(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def natural_instructions(real: Path) -> Iterator[Row | str]:
    table = json.loads(text_of(real / "natural-instructions" / "task_table.json"))
    languages = {}
    for task in table:
        for name in [task["task"], *task["aliases"]]:
            languages[name] = (task["input_language"], task["output_language"])
    for folder in ("tasks", "tasks-variant", "tasks-2021-schema", "tasks-assembled", "tasks-excerpt"):
        for path in sorted((real / "natural-instructions" / folder).iterdir()):
            task = json.loads(text_of(path))
            known = languages.get(stem(path), ([], []))
            used = {*(task.get("Input_language") or known[0]), *(task.get("Output_language") or known[1])}
            language = "English" if used == {"English"} else "other"
            definition = task["Definition"]
            definition = definition if isinstance(definition, str) else "\n".join(definition)
            for instance in task["Instances"]:
                output = instance["output"]
                references = [output] if isinstance(output, str) else output
                if not references:
                    yield BAD
                else:
                    yield (
                        "natural-instructions",
                        language,
                        prompt_of(definition, instance["input"]),
                        references[0],
                    )


def alpaca_like(name: str, paths: list[Path], blank: tuple[str, ...] = ()) -> Iterator[Row | str]:
    for path in paths:
        for row in json.loads(text_of(path)):
            given = "" if row["input"] in blank else row["input"]
            yield (name, "English", prompt_of(row["instruction"], given), row["output"])


def p3(real: Path) -> Iterator[Row | str]:
    for path in sorted((real / "p3-t0-50k" / "data_per_template").iterdir()):
        for line in text_of(path).split("\n"):
            if line:
                row = json.loads(line)
                yield ("p3", "English", row["prompt"], row["completion"].removesuffix("<|endoftext|>"))


def flan_cot(real: Path) -> Iterator[Row | str]:
    for path in sorted((real / "flan-cot").iterdir()):
        for line in text_of(path).split("\n"):
            if line:
                question, answer, _ = line.split("\t")
                yield ("flan-cot", "English", question, answer)


def llama_factory(real: Path) -> Iterator[Row | str]:
    folder = real / "llama-factory-demo"
    yield from alpaca_like("llama-factory", [folder / "alpaca_en_demo.json.gz"])
    for _ in json.loads(text_of(folder / "alpaca_zh_demo.json.gz")):
        yield ("llama-factory", "other", "-", "-")
    for row in json.loads(text_of(folder / "glaive_toolcall_en_demo.json.gz")):
        turns = row["conversations"]
        last = max(index for index, turn in enumerate(turns) if turn["from"] == "gpt")
        yield (
            "llama-factory",
            "English",
            "\n".join(turn["value"] for turn in turns[:last]),
            turns[last]["value"],
        )


def rows_of(real: Path) -> Iterator[Row | str]:
    yield from natural_instructions(real)
    yield from p3(real)
    yield from flan_cot(real)
    yield from alpaca_like("lima", [real / "lima" / "lima.json.gz"])
    yield from alpaca_like("dolly", sorted((real / "dolly").iterdir()))
    yield from alpaca_like("alpaca", sorted((real / "alpaca").iterdir()), ("No input", "<noinput>", "No input."))
    code = real / "code-alpaca"
    yield from alpaca_like("code-alpaca", [code / "code_alpaca_2k.json.gz", code / "new_codealpaca.json.gz"])
    yield from llama_factory(real)


def key(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


STAGES = ("select", "clean", "dedup", "decontaminate", "sample")


def expected(real: Path) -> dict[str, dict[str, Any]]:
    """Per source: read, quarantined, removed by stage, kept."""
    read: Counter[str] = Counter()
    removed: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
    bad = 0
    seen: set[tuple[str, str]] = set()
    left: Counter[str] = Counter()
    for row in rows_of(real):
        if isinstance(row, str):
            bad += 1
            continue
        source, language, prompt, response = row
        read[source] += 1
        if language != "English":
            removed["select"][source] += 1
        elif not prompt.strip() or not response.strip() or len(f"{prompt}\n{response}".split()) > 2000:
            removed["clean"][source] += 1
        elif (key(prompt), key(response)) in seen:
            removed["dedup"][source] += 1
        else:
            seen.add((key(prompt), key(response)))
            left[source] += 1
    # Read one by one: questions of MMLU (one of them a phrase of eight words), variants of GSM8K's and ASDiv's.
    removed["decontaminate"].update({"natural-instructions": 10, "flan-cot": 2})
    left -= removed["decontaminate"]
    removed["sample"] = Counter({source: left[source] - QUOTAS[source] for source in left})
    return {
        source: {
            "read": read[source],
            "quarantined": bad if source == "natural-instructions" else 0,
            "removed": {stage: counts[source] for stage, counts in removed.items()},
            "kept": QUOTAS[source],
        }
        for source in QUOTAS
    }


def test_counts_equal_a_plain_count(real: Path, tmp_path: Path) -> None:
    # Traces and near duplicates have tests of their own: in plain Python their search takes minutes.
    result = cf.build("quickstart", data=real, out=tmp_path / "out", set={"provenance": None, "dedup.near": []})
    assert result.summary["sources"] == expected(real)
    assert Counter(result.table["source"].to_pylist()) == QUOTAS
    assert len(result.ledger) == sum(source["read"] - source["kept"] for source in result.summary["sources"].values())


def test_traces_go_and_leave_the_quotas_full(real: Path, tmp_path: Path) -> None:
    result = cf.build("quickstart", data=real, out=tmp_path / "out")
    assert Counter(result.table["source"].to_pylist()) == QUOTAS
    assert result.table["traces"].null_count == result.table.num_rows
    gone = [line for line in result.ledger.to_pylist() if line["stage"] == "provenance"]
    assert all(line["reason"].startswith("trace ") and line["evidence"] for line in gone)
    counts = Counter(line["source"] for line in gone)
    assert set(counts) == {"alpaca", "code-alpaca", "lima", "llama-factory"}
    assert counts["lima"] < 10 < counts["alpaca"]


def test_the_written_rows_are_the_sources_own_text(real: Path, tmp_path: Path) -> None:
    result = cf.build("quickstart", data=real, out=tmp_path / "out")
    originals = {row[2:] for row in rows_of(real) if not isinstance(row, str)}
    for row in result.table.select(["instruction", "input", "output", "messages"]).to_pylist():
        if row["messages"] is None:
            assert (prompt_of(row["instruction"], row["input"]), row["output"]) in originals


def test_csv_module_agrees_that_flan_cot_has_no_quoting(real: Path) -> None:
    """FLAN's TSV files are cut at tabs, not parsed as quoted CSV: a lone quotation mark is text."""
    path = real / "flan-cot" / "creak_train.tsv.gz"
    lines = [line for line in text_of(path).split("\n") if line]
    unquoted = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(len(row) == 3 for row in unquoted)
