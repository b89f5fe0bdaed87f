"""Every folder of real instruction data, against a plain Python reader written here."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest

from chaffinch.readers import read_source
from chaffinch.recipe.source import Source

pytestmark = pytest.mark.real


def text_of(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def files_of(folder: Path, ending: str) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.name.removesuffix(".gz").endswith(ending))


def read(tmp_path: Path, data: Path, files, **words) -> tuple[list[dict], int, dict[str, int]]:
    shards = read_source(Source(name="s", files=files, **words), data, tmp_path / "cache", threads=2)
    rows = [row for shard in shards for row in pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all().to_pylist()]
    notes: dict[str, int] = {}
    for shard in shards:
        for note, count in shard.notes.items():
            notes[note] = notes.get(note, 0) + count
    return rows, sum(shard.rejected for shard in shards), notes


def joined(value) -> str:
    return value if isinstance(value, str) else "\n".join(value)


def unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


NATURAL = [
    "natural-instructions/tasks",
    "natural-instructions/tasks-variant",
    "natural-instructions/tasks-2021-schema",
    "natural-instructions/tasks-assembled",
    "natural-instructions/tasks-excerpt",
    "natural-instructions-v1/tasks",
    "natural-instructions-corrupted",
    "cl-long-sequence",
]


@pytest.mark.parametrize("folder", NATURAL)
def test_natural_instructions(tmp_path, real, folder):
    expected, empty, repeated = [], 0, 0
    for path in files_of(real / folder, ".json"):
        task = json.loads(text_of(path))
        if not isinstance(task, dict):
            continue
        for instance in task["Instances"]:
            output = instance["output"]
            references = [output] if isinstance(output, str) else output
            if not references:
                empty += 1
                continue
            repeated += len(set(references)) < len(references)
            expected.append((joined(task["Definition"]), instance["input"], unique(references)))
    # Only cl-long-sequence has other files beside: its lists of labels.
    rows, rejected, notes = read(tmp_path, real, folder, exclude="cl-long-sequence/*/labels.json")
    assert [(row["instruction"], row["input"], row["references"]) for row in rows] == expected
    assert (rejected, notes.get("repeated_reference", 0)) == (empty, repeated)


def test_natural_instructions_columns_of_the_file(tmp_path, real):
    folder = real / "natural-instructions" / "tasks"
    rows, _, _ = read(tmp_path, real, "natural-instructions/tasks")
    seen = {row["task"]: row for row in rows}
    for path in files_of(folder, ".json"):
        task = json.loads(text_of(path))
        row = seen.pop(path.name.split(".json")[0])
        assert row["category"] == "; ".join(task["Categories"])
        assert row["licence"] == ("; ".join(task["Instance License"]) if "Instance License" in task else None)
        languages = [task[f"{side}_language"] for side in ("Input", "Output")]
        assert row["language"] == (
            languages[0][0] if languages == [["English"]] * 2 else ">".join(map("; ".join, languages))
        )
        assert json.loads(row["meta"]) == {"id": task["Instances"][-1]["id"]}
    assert seen == {}


def objects_of(path: Path, **words) -> list[dict]:
    text = text_of(path)
    if text.lstrip().startswith("["):
        return json.loads(text, **words)
    return [json.loads(line, **words) for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize(
    "folder",
    [
        "alpaca",
        "evol-instruct-1k",
        "dolly",
        "code-alpaca",
        "self-instruct",
        "p3-t0-50k",
        "lima",
        "alpaca-1k",
        "llama-factory-demo",
    ],
)
def test_instructions_and_conversations(tmp_path, real, folder):
    roles = {"human": "user", "gpt": "assistant", "function_call": "tool_call", "observation": "tool"}
    expected = []
    for path in sorted([*files_of(real / folder, ".json"), *files_of(real / folder, ".jsonl")]):
        for record in objects_of(path):
            if "conversations" in record:
                turns = [{"role": roles[turn["from"]], "content": turn["value"]} for turn in record["conversations"]]
                expected.append(("", "", [], turns))
            else:
                instruction = record.get("instruction", record.get("prompt"))
                for instance in record.get("instances", [record]):
                    output = instance["output"] if "output" in instance else instance["completion"]
                    expected.append((instruction, instance.get("input", ""), [output], None))
    rows, rejected, _ = read(tmp_path, real, folder)
    assert [(row["instruction"], row["input"], row["references"], row["messages"]) for row in rows] == expected
    assert rejected == 0


def test_flan_cot(tmp_path, real):
    expected = [
        (question, [answer], {"rationale": rationale})
        for path in files_of(real / "flan-cot", ".tsv")
        for question, answer, rationale in (line.split("\t") for line in text_of(path).rstrip("\n").split("\n"))
    ]
    rows, rejected, _ = read(tmp_path, real, "flan-cot/*", columns=["question", "answer", "rationale"])
    assert [(row["instruction"], row["references"], json.loads(row["meta"])) for row in rows] == expected
    assert rejected == 0


@pytest.mark.parametrize(
    ("files", "fields"),
    [
        ("eval-mmlu/*/*.csv*", {"instruction": "question", "output": "answer"}),
        (
            "eval-ethics/deontology/*",
            {"instruction": "scenario", "input": "excuse", "output": "label"},
        ),
        ("allennlp-fixtures/mc/swag.csv", {"instruction": "startphrase", "output": "label"}),
    ],
)
def test_csv(tmp_path, real, files, fields):
    expected = []
    for path in sorted(real.glob(files)):
        table = csv.DictReader(io.StringIO(text_of(path).removeprefix("\ufeff"), newline=""))
        for record in table:
            values = [
                record.pop(fields[column]) if column in fields else "" for column in ("instruction", "input", "output")
            ]
            expected.append((*values, record))
    rows, rejected, _ = read(tmp_path, real, files, fields=fields)
    found = [(row["instruction"], row["input"], row["references"][0], json.loads(row["meta"] or "{}")) for row in rows]
    assert found == expected
    assert rejected == 0


PROMPTS = ["question", "Question", "problem", "prompt", "input", "query", "chosen"]
ANSWERS = [
    "answer",
    "Answer",
    "solution",
    "target",
    "correct",
    "code",
    "canonical_solution",
    "label",
    "rejected",
]


@pytest.mark.parametrize(
    "folder",
    ["gsm8k", "math", "math-other", "human-eval", "hh-rlhf", "corr2cause-pp"],
)
def test_evaluation_sets(tmp_path, real, folder):
    expected = []
    for path in sorted(path for ending in (".json", ".jsonl") for path in files_of(real / f"eval-{folder}", ending)):
        for record in objects_of(path, parse_float=str, parse_int=str):
            prompt = next(record[name] for name in PROMPTS if name in record)
            expected.append((prompt, next(record[name] for name in ANSWERS if name in record)))
    fields = {"instruction": PROMPTS, "input": [], "output": ANSWERS}
    rows, rejected, _ = read(tmp_path, real, f"eval-{folder}", fields=fields)
    assert [(row["instruction"], row["references"][0]) for row in rows] == expected
    assert rejected == 0


def test_stories(tmp_path, real):
    expected = []
    for path in sorted((real / "allennlp-fixtures/cnn_stories").iterdir()):
        lines = path.read_text("utf-8").split("\n")
        start = lines.index("@highlight")
        points = [line for line in lines[start:] if line and line != "@highlight"]
        expected.append(("Summarise.", "\n".join(lines[:start]).strip(), ["\n".join(points)]))
    rows, _, _ = read(tmp_path, real, "allennlp-fixtures/cnn_stories", format="cnn-stories", instruction="Summarise.")
    assert [(row["instruction"], row["input"], row["references"]) for row in rows] == expected


def test_problems(tmp_path, real):
    rows, _, _ = read(tmp_path, real, "apps/train/*", format="apps")
    folders = sorted((real / "apps/train").iterdir())
    assert [json.loads(row["meta"])["problem"] for row in rows] == [folder.name for folder in folders]
    for row, folder in zip(rows, folders, strict=True):
        assert row["instruction"] == (folder / "question.txt").read_text("utf-8")
        assert row["references"] == unique(json.loads((folder / "solutions.json").read_text("utf-8")))
        assert json.loads((folder / "metadata.json").read_text("utf-8")).items() <= json.loads(row["meta"]).items()


def test_questions_in_context(tmp_path, real):
    rows, rejected, _ = read(tmp_path, real, "hf-dummy-samples/quac/*", format="quac")
    questions = [
        (item["question"], item["orig_answer"]["text"], paragraph["context"], place)
        for path in sorted((real / "hf-dummy-samples/quac").iterdir())
        for article in json.loads(path.read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for place, item in enumerate(paragraph["qas"])
    ]
    assert (len(rows), rejected) == (len(questions), 0)
    for row, (question, answer, context, place) in zip(rows, questions, strict=True):
        assert (row["instruction"], row["references"][0]) == (question, answer)
        assert row["input"].startswith(context)
        assert row["input"].count("\nQuestion: ") == place


def test_open_book(tmp_path, real):
    rows, rejected, _ = read(tmp_path, real, "hf-dummy-samples/openbookqa/*/Data/Main/*", format="openbookqa")
    records = [
        record
        for path in sorted((real / "hf-dummy-samples/openbookqa").glob("*/Data/Main/*"))
        for record in objects_of(path)
    ]
    assert rejected == 0
    assert [row["instruction"] for row in rows] == [record["question"]["stem"] for record in records]
    assert [row["references"][0][0] for row in rows] == [record["answerKey"] for record in records]
