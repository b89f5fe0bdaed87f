"""Finished output folders, made by hand: small enough to know every number."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = [
    "source",
    "task",
    "category",
    "language",
    "licence",
    "instruction",
    "input",
    "output",
    "prompt_origin",
]
COLUMNS = ["row_id", *TEXTS, "response_origin", "generator", "meta", "prompt", "response"]
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
LEDGER = pa.schema(
    [(name, pa.string()) for name in ("row_id", "source", "stage", "reason", "witness")] + [("score", pa.float64())]
)
QUARANTINE = pa.schema(
    [("source", pa.string()), ("file", pa.string()), ("position", pa.uint64())]
    + [(name, pa.string()) for name in ("pointer", "reason", "raw")]
)
STAGES = ["select", "clean", "dedup", "sample"]


def kept_row(
    row_id: str, prompt: str = "What is grain?", response: str = "A seed.", **more: str | None
) -> dict[str, Any]:
    source, task = row_id.split("/")[:2]
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "row_id": row_id,
        "source": source,
        "task": task,
        "instruction": prompt,
        "input": "",
        "output": response,
    }
    return row | {"language": "English", "prompt": prompt, "response": response} | more


def removed_row(
    row_id: str, stage: str, reason: str, witness: str | None = None, score: float | None = None
) -> dict[str, Any]:
    source = row_id.split("/")[0]
    return {
        "row_id": row_id,
        "source": source,
        "stage": stage,
        "reason": reason,
        "witness": witness,
        "score": score,
    }


def bad_row(reason: str = "not JSON", raw: str = "{", file: str = "a/rows.jsonl", source: str = "a") -> dict[str, Any]:
    return {"source": source, "file": file, "position": 3, "pointer": "", "reason": reason, "raw": raw}


def kept_id(number: int, source: str = "a") -> str:
    return f"{source}/task/{number:016x}"


def finished_build(
    out: Path,
    kept: list[dict[str, Any]] | None = None,
    removed: list[dict[str, Any]] | None = None,
    bad: list[dict[str, Any]] | None = None,
    kind: str = "parquet",
    **manifest: Any,
) -> Path:
    """Writes an output folder whose manifest agrees with its rows; `manifest` replaces keys of it."""
    kept = [kept_row(kept_id(number)) for number in range(3)] if kept is None else kept
    removed, bad = removed or [], bad or []
    (out / "data").mkdir(parents=True)
    half = (len(kept) + 1) // 2
    parts = [kept[:half], kept[half:]] if len(kept) > 1 else [kept]
    for number, part in enumerate(parts):
        _write_mixture(out / "data", part, kind, f"train-{number:05d}-of-{len(parts):05d}")
    pq.write_table(pa.Table.from_pylist(removed, LEDGER), out / "ledger.parquet")
    pq.write_table(pa.Table.from_pylist(bad, QUARANTINE), out / "quarantine.parquet")
    values = _manifest(kept, removed, bad) | manifest
    (out / "manifest.json").write_text(json.dumps(values), encoding="utf-8")
    return out


def _write_mixture(folder: Path, rows: list[dict[str, Any]], kind: str, stem: str) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    if kind == "parquet":
        pq.write_table(table, folder / f"{stem}.parquet")
    elif kind == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (folder / f"{stem}.jsonl").write_text("".join(lines), encoding="utf-8")
    else:
        (folder / "train").mkdir(exist_ok=True)
        with pa.ipc.new_stream(folder / "train" / f"{stem}.arrow", SCHEMA) as writer:
            writer.write_table(table)


def _manifest(kept: list[dict[str, Any]], removed: list[dict[str, Any]], bad: list[dict[str, Any]]) -> dict[str, Any]:
    alive = len(kept) + len(removed)
    reasons = dict(Counter(row["reason"] for row in bad))
    stages = [stage("read", alive + len(bad), reasons)]
    for name in STAGES:
        stages.append(stage(name, alive, dict(Counter(row["reason"] for row in removed if row["stage"] == name))))
        alive = stages[-1]["rows_out"]
    names = sorted({row["source"] for row in [*kept, *removed, *bad]})
    return {
        "chaffinch": "0.1.0",
        "build": {"python": "3.11"},
        "recipe": {
            "name": "small",
            "seed": 7,
            "mode": None,
            "sources": [{"name": name, "files": [f"{name}/*"]} for name in names],
        },
        "inputs": [
            {
                "source": name,
                "file": f"{name}/rows.jsonl",
                "hash": "ab" * 16,
                "bytes": 2048,
                "rows": 4,
                "rejected": 0,
                "notes": {},
            }
            for name in names
        ],
        "stages": stages,
        "sources": {name: _source(name, kept, removed, bad) for name in names},
        "sample": [],
        "classes": {"instruction": len(kept)},
        "outputs": [
            {
                "split": "train",
                "file": "train-00000-of-00001.parquet",
                "rows": len(kept),
                "bytes": 99,
                "hash": "cd",
            }
        ],
        "files": ["manifest.json", "report.html"],
        "warnings": [],
        "kept": len(kept),
        "seconds": 1.5,
        "peak_memory_bytes": 1 << 28,
        "started": "2026-01-02T03:04:05+00:00",
    }


def stage(name: str, rows_in: int, removed: dict[str, int]) -> dict[str, Any]:
    rows_out = rows_in - sum(removed.values())
    return {
        "stage": name,
        "rows_in": rows_in,
        "rows_out": rows_out,
        "removed": removed,
        "seconds": 0.1,
        "cached": False,
        "notes": {},
    }


def _source(
    name: str, kept: list[dict[str, Any]], removed: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> dict[str, Any]:
    gone = [row for row in removed if row["source"] == name]
    stays = sum(row["source"] == name for row in kept)
    return {
        "read": stays + len(gone),
        "quarantined": sum(row["source"] == name for row in bad),
        "removed": dict(Counter(row["stage"] for row in gone)),
        "kept": stays,
    }
