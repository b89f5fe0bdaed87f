"""What the report's page shows, made ready for its template."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from chaffinch.report.account import account
from chaffinch.report.answers import answers
from chaffinch.report.flow import draw, steps
from chaffinch.report.folder import Folder
from chaffinch.report.lengths import histogram
from chaffinch.report.mixture import measure
from chaffinch.report.quarantined import quarantined

TOP_GROUPS = 20
MOST_LINES = 200
EXAMPLES = 3

# What describes the build and not its rows; a manifest without it is still worth a report.
UNSAID = {"chaffinch": "", "build": {}, "started": "", "seconds": 0.0, "peak_memory_bytes": 0, "outputs": []}


def contents(folder: Folder) -> dict[str, Any]:
    """The template's variables, from the manifest and one pass over the mixture and the quarantine.

    Raises:
        DataError: a file of the folder is damaged, or the manifest lacks what a manifest has.
    """
    manifest = {**UNSAID, **folder.manifest}
    mixture = measure(folder)
    accounted = account(manifest, mixture.rows)
    strata = [_step(step) for step in manifest.get("sample") or []]
    inputs = manifest.get("inputs") or []
    return {
        "manifest": manifest,
        "recipe": folder.recipe,
        "name": folder.recipe.get("name", folder.path.name),
        "account": accounted,
        "warnings": manifest.get("warnings") or [],
        "flow": draw(accounted.found, steps(manifest)),
        "stages": [_stage(stage, manifest.get("examples") or {}) for stage in folder.stages],
        "sources": manifest.get("sources") or {},
        "source_stages": _source_stages(manifest),
        "shares": _shares(mixture.groups, manifest.get("classes") or {}, manifest.get("asked") or {}),
        "rows": mixture.rows,
        "lengths": {"Prompt": histogram(mixture.prompt), "Response": histogram(mixture.response)},
        "held_in": manifest.get("contamination") or [],
        "passages": manifest.get("passages") or [],
        "held_in_tasks": manifest.get("held_in_tasks") or [],
        "answers": answers(folder),
        "strata": strata,
        "pack": manifest.get("pack"),
        "quarantine": quarantined(folder),
        "notes": _notes(inputs),
        "inputs": inputs[:MOST_LINES],
        "n_inputs": len(inputs),
        "yaml": yaml.safe_dump(folder.recipe, sort_keys=False, allow_unicode=True, width=100),
        "most_lines": MOST_LINES,
    }


def _stage(stage: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    shown = examples.get(stage["stage"]) or {}
    removed = sorted((stage.get("removed") or {}).items(), key=lambda item: (-item[1], item[0]))
    return {
        **stage,
        "n_removed": sum(rows for _, rows in removed),
        "reasons": [(reason, rows, (shown.get(reason) or [])[:EXAMPLES]) for reason, rows in removed],
    }


def _source_stages(manifest: Mapping[str, Any]) -> dict[str, int]:
    """The stages that removed rows, in the order in which they ran, and how many each removed."""
    removed: Counter[str] = Counter({stage["stage"]: 0 for stage in manifest.get("stages") or []})
    for source in (manifest.get("sources") or {}).values():
        removed.update(source["removed"])
    return {stage: rows for stage, rows in removed.items() if rows}


def _shares(
    groups: Mapping[str, Counter[str]], classes: Mapping[str, int], asked: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, Any]]:
    counted = {
        "Source": groups["source"],
        "Category": groups["category"],
        "Class": classes,
        "Language": groups["language"],
        "Template": asked.get("templates") or {},
        "Demonstrations of a row with a template": asked.get("demonstrations") or {},
    }
    return {title: _ranked(counts) for title, counts in counted.items() if counts}


def _ranked(counts: Mapping[str, int]) -> dict[str, Any]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ranked[TOP_GROUPS:]
    return {
        "bars": ranked[:TOP_GROUPS],
        "n_rest": len(rest),
        "rest": sum(rows for _, rows in rest),
        "total": sum(counts.values()),
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    strata = [{**stratum, "name": _stratum(stratum["stratum"])} for stratum in step["strata"]]
    # What is short is what a reader looks for; a stable sort keeps the recipe's order otherwise.
    strata.sort(key=lambda stratum: -(stratum["shortfall"] or 0))
    return {
        "by": (f"{step['name']}: " if step.get("name") else "") + (", ".join(step["by"]) or "all rows"),
        "per": ", ".join(step.get("per") or []),
        "unit": step.get("unit", "rows"),
        "strata": strata[:MOST_LINES],
        "n_strata": len(strata),
        # Within each task a number is the most that is taken.
        "n_short": 0 if step.get("per") else sum(1 for stratum in strata if stratum["shortfall"]),
        "sums": {
            name: sum(stratum[name] or 0 for stratum in strata) for name in ("available", "asked", "taken", "shortfall")
        },
    }


def _stratum(value: object) -> str:
    if isinstance(value, Mapping):
        value = list(value.values())
    parts = value if isinstance(value, list) else [value]
    return " / ".join("(unknown)" if part is None else str(part) for part in parts)


def _notes(inputs: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str, int]]:
    """The readers' notes: source, note, value (numbers added up over the files) and how many files had it."""
    sums: dict[tuple[str, str, str], list[float]] = {}
    for file in inputs:
        for note, value in (file.get("notes") or {}).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is None or value == 0:
                continue
            entry = sums.setdefault((file["source"], note, "" if is_number else str(value)), [0, 0])
            entry[0] += value if is_number else 0
            entry[1] += 1
    return [
        (source, note, text or f"{number:,.10g}", int(files)) for (source, note, text), (number, files) in sums.items()
    ]
