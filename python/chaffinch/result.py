"""What a build gives back."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from chaffinch.errors import DataError
from chaffinch.output import DATA, LEDGER, QUARANTINE, REPORT, TASKS, manifest

if TYPE_CHECKING:
    import datasets
    import polars


class Result:
    """A finished build, read from its output folder on demand.

    Attributes:
        out: the output folder.
        report: path of the HTML report.
    """

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)
        self.report = self.out / REPORT
        self.summary: dict[str, Any] = manifest(self.out)

    def __repr__(self) -> str:
        return f"Result(out={str(self.out)!r}, kept={self.summary['kept']:,})"

    @cached_property
    def table(self) -> pa.Table:
        """The mixture's training rows, in order."""
        return self.split("train")

    def _schema(self) -> pa.Schema:
        from chaffinch.stages.write import schema_with

        asked = self.summary.get("asked") is not None
        tokenized = self.summary["recipe"].get("tokenize") is not None
        return schema_with(self.summary.get("added") or [], asked=asked, tokenized=tokenized)

    def split(self, name: str) -> pa.Table:
        """One split of the mixture: `train`, or `validation` where the recipe holds rows out.

        Raises:
            DataError: the mixture has no such split.
        """
        files = [self.out / DATA / output["file"] for output in self.summary["outputs"] if output["split"] == name]
        if not files:
            splits = ", ".join(dict.fromkeys(output["split"] for output in self.summary["outputs"]))
            raise DataError(f"{self.out} has no split {name!r}\nhint: it has {splits}")
        return pa.concat_tables([_read(file, self._schema()) for file in files])

    @cached_property
    def ledger(self) -> pa.Table:
        """Every row that was read and is not in the mixture: row_id, source, stage, reason, witness, score, ..."""
        return pq.read_table(self.out / LEDGER)

    @cached_property
    def tasks(self) -> pa.Table | None:
        """Every labelled task: how it was labelled and answered, and how many rows were taken; None without `label`."""
        path = self.out / TASKS
        return pq.read_table(path) if path.is_file() else None

    @cached_property
    def quarantine(self) -> pa.Table:
        """Every bad row: source, file, position, pointer, reason, raw."""
        return pq.read_table(self.out / QUARANTINE)

    def to_polars(self) -> "polars.DataFrame":
        """The mixture as a polars frame (extra `polars`)."""
        import polars

        frame = polars.from_arrow(self.table)
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_datasets(self) -> "datasets.Dataset":
        """The mixture as a Hugging Face data set (extra `hub`)."""
        import datasets

        return datasets.Dataset(self.table)


def _read(file: Path, schema: pa.Schema) -> pa.Table:
    if file.suffix == ".parquet":
        return pq.read_table(file)
    if file.suffix == ".arrow":
        return pa.ipc.open_stream(pa.OSFile(str(file))).read_all()
    size = file.stat().st_size
    if not size:
        return schema.empty_table()
    # Guessed types would depend on the rows, and a row longer than a block is an error: one block holds them all.
    parse = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return pj.read_json(file, pj.ReadOptions(block_size=size + 1), parse).select(schema.names).cast(schema)
