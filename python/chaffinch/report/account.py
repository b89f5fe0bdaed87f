"""Whether every row that was read is accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Account:
    """Where the rows went: found = quarantined + removed + kept, or `faults` says what does not add up.

    Attributes:
        found: rows of the files, bad ones included.
    """

    found: int
    quarantined: int
    removed: int
    kept: int
    faults: list[str]


def account(manifest: Mapping[str, Any], mixture_rows: int) -> Account:
    """Adds the manifest up, by source and by stage, and holds it against the rows that lie in the mixture.

    Args:
        manifest: the build's manifest.
        mixture_rows: rows counted in the mixture's own files.
    """
    faults = []
    sources = manifest.get("sources") or {}
    quarantined = sum(source["quarantined"] for source in sources.values())
    for name, source in sources.items():
        out = sum(source["removed"].values()) + source["kept"]
        if source["read"] != out:
            faults.append(f"source {name}: {source['read']:,} rows read, but {out:,} removed or kept")
    for stage in manifest.get("stages") or []:
        removed = sum((stage.get("removed") or {}).values())
        if stage["rows_in"] - stage["rows_out"] != removed:
            faults.append(
                f"stage {stage['stage']}: {stage['rows_in']:,} rows in, {stage['rows_out']:,} out, "
                f"but {removed:,} removed"
            )
    kept = sum(source["kept"] for source in sources.values())
    if kept != mixture_rows:
        faults.append(f"the manifest says that {kept:,} rows are kept, the mixture holds {mixture_rows:,}")
    return Account(
        found=sum(source["read"] for source in sources.values()) + quarantined,
        quarantined=quarantined,
        removed=sum(sum(source["removed"].values()) for source in sources.values()),
        kept=kept,
        faults=faults,
    )
