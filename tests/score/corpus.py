"""Small Natural Instructions corpora, and recipes that score them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from chaffinch.pipeline import Run
from chaffinch.progress import NoProgress
from chaffinch.recipe.load import load_recipe


def task_file(name: str, instances: list[tuple[str, list[str]]], examples: Any = (), **more: Any) -> dict[str, Any]:
    """A task of Natural Instructions; `examples` as pairs, or whatever a file may have there."""
    if isinstance(examples, list | tuple):
        examples = [{"input": input_, "output": output, "explanation": "so"} for input_, output in examples]
    return {
        "Definition": [f"Do what {name} says."],
        "Categories": ["Fill in The Blank"],
        "Input_language": ["English"],
        "Output_language": ["English"],
        "Positive Examples": examples,
        "Instances": [
            {"id": f"{name}-{at}", "input": input_, "output": output} for at, (input_, output) in enumerate(instances)
        ],
    } | more


def write_task(data: Path, name: str, *rest: Any, **more: Any) -> Path:
    path = data / "tasks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(task_file(name, *rest, **more)), encoding="utf-8")
    return path


def recipe(**score: Any) -> dict[str, Any]:
    return {
        "name": "scored",
        "seed": 11,
        "sources": [{"name": "ni", "files": "tasks/*.json", "format": "natural-instructions"}],
        "score": {"sources": ["ni"], **score},
    }


def decided(data: Path, place: Path, values: dict[str, Any], until: str | None = "score") -> Run:
    """A run of the recipe up to a stage, with its cache in `place`."""
    run = Run(load_recipe(values, {}), data, place / "out", place / "cache", 2, NoProgress())
    run.read()
    run.decide(until=until)
    return run


def read(data: Path, place: Path, values: dict[str, Any]) -> tuple[Run, np.ndarray]:
    """A run that has only read, and all its rows."""
    run = Run(load_recipe(values, {}), data, place / "out", place / "cache", 2, NoProgress())
    run.read()
    return run, np.arange(len(run.rows), dtype=np.uint32)


def kept_answers(cache: Path) -> dict[str, str | None]:
    """By name of the prompt, what the stores of answers in the cache hold."""
    lines = [
        json.loads(line)
        for file in sorted((cache / "answers").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return {line["q"]: line.get("a") for line in lines if "q" in line}
