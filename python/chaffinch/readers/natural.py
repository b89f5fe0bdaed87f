"""One file of Natural Instructions as rows, for the verbs that take one file and write another."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaffinch import _core
from chaffinch.errors import DataError
from chaffinch.readers.inputs import Input
from chaffinch.readers.plan import core_plan
from chaffinch.recipe.source import Source

OF_TASK = ("task", "category", "language", "licence", "instruction")


def is_task(content: Any) -> bool:
    """Whether a JSON value is a task of Natural Instructions, of any of its schemas."""
    return isinstance(content, dict) and isinstance(content.get("Instances"), list)


def read_task(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The instances of a task file, as a build reads them.

    Yields:
        Where the instance is, and its row: `task`, `category`, `language` and `licence` where the file says them,
        `instruction` (the definition), the instance's own keys, and `output`, always a list of references, each once.
        What else the file says of the task (contributors, examples) is of no row.

    Raises:
        DataError: an instance that is no row, or a file that breaks off.
        OSError: the file cannot be read.
    """
    input_ = Input(path.name, (path,), path.stat().st_size)
    source = Source(name="file", files=[path.name], format="natural-instructions")
    plan: dict[str, Any] = {**core_plan(source, [], input_)}
    with tempfile.TemporaryDirectory() as folder:
        job = {
            "file": path.name.encode(errors="replace").decode(),
            "task": input_.stem.encode(errors="replace").decode(),
            "stem": input_.stem.encode(errors="replace").decode(),
            "elements": False,
            "delimited": False,
            "output": Path(folder, "rows.arrow"),
            "quarantine": Path(folder, "quarantine.arrow"),
            "path": path,
        }
        ((_, rejected, _, _),) = _core.read_files(plan, [job])
        if rejected:
            bad = pa.ipc.open_file(job["quarantine"]).read_all().slice(0, 1).to_pylist()[0]
            hint = "mend or remove it; `chaffinch build` reads the others and keeps a list of such"
            raise DataError(f"{path}: {bad['pointer']}: {bad['reason']}, one of {rejected:,} bad records\nhint: {hint}")
        shard = pa.ipc.open_file(job["output"])
        for number in range(shard.num_record_batches):
            for row in shard.get_batch(number).to_pylist():
                of_task = {name: row[name] for name in OF_TASK if row[name] is not None}
                own = json.loads(row["meta"] or "{}")
                texts = {"input": row["input"], "output": row["references"]}
                yield f"/Instances/{row['position']}", {**of_task, **texts, **own}
