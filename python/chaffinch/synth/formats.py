"""Writes records in the formats that real sources come in, spoiling the rows that are to be broken."""

import csv
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch.synth.kinds import Row
from chaffinch.synth.plan import File
from chaffinch.synth.rows import Record
from chaffinch.synth.words import NAMES

Blocks = Iterator[list[Record]]
encode = json.JSONEncoder(ensure_ascii=False).encode
quote = json.encoder.encode_basestring


def spoil(row: Row, how: str) -> str:
    """The row's JSON text, broken in one of the ways that real data is.

    `truncated` is not JSON at all and fits line formats only.
    """
    if how == "truncated":
        text = encode(row)
        return text[: 2 * len(text) // 3]
    row = dict(row)
    conversation = "conversations" in row
    if how == "wrong-type":
        row["conversations" if conversation else _answer_key(row)] = {"text": 17}
    elif how == "missing-field":
        del row["conversations" if conversation else _answer_key(row)]
    elif how == "empty-references":
        row["output"] = []
    elif how == "invalid-role":
        row["conversations"] = [{**row["conversations"][0], "from": "narrator"}, *row["conversations"][1:]]
    elif how == "lone-surrogate":
        # The escape of half a character: valid by the grammar of JSON, and no text.
        return encode(row)[:-1] + ', "remark": "half a pair: \\ud83d"}'
    else:
        raise ValueError(f"no way {how!r} to break a row")
    return encode(row)


def _answer_key(row: Row) -> str:
    return next(key for key in ("output", "completion", "answer") if key in row)


def _json(record: Record) -> str:
    plant = record.plant
    return spoil(record.row, plant.how) if plant is not None and plant.kind == "broken" else encode(record.row)


def write_jsonl(out: BinaryIO, file: File, blocks: Blocks) -> None:
    """One object a line."""
    end = "\r\n" if "crlf" in file.traits else "\n"
    if "bom" in file.traits:
        out.write(b"\xef\xbb\xbf")
    for block in blocks:
        out.write("".join(_json(record) + end for record in block).encode())


def write_array(out: BinaryIO, _: File, blocks: Blocks) -> None:
    """One array of objects."""
    out.write(b"[")
    between = "\n  "
    for block in blocks:
        out.write((between + ",\n  ".join(map(_json, block))).encode())
        between = ",\n  "
    out.write(b"\n]\n")


def write_tasks(out: BinaryIO, file: File, blocks: Blocks) -> None:
    """A task file: the schema of the release, or of 2021, or the drifted one with texts for lists."""
    task = file.task
    assert task is not None
    early, drifted = "2021" in file.traits, "string-output" in file.traits
    head: dict[str, Any] = {
        "Contributors": [NAMES[task.number % 64]],
        "Source": [f"synthetic-{task.topic}"],
        "URL": [float("nan")] if "nan" in file.traits else [f"https://example.org/{task.topic}"],
        "Categories": task.family.category if drifted else [task.family.category],
        "Reasoning": [],
        "Definition": task.definition if early else [task.definition],
        "Input_language": [task.family.languages[0]],
        "Output_language": [task.family.languages[1]],
        "Instruction_language": ["English"],
        "Domains": "Fiction -> Towns" if drifted else ["Fiction"],
        "Positive Examples": [],
        "Negative Examples": [],
    }
    if early:
        for key in (
            "Input_language",
            "Output_language",
            "Instruction_language",
            "Domains",
            "URL",
            "Reasoning",
        ):
            del head[key]
    if drifted:
        for key in ("Contributors", "Source", "Reasoning"):
            del head[key]
    for count, block in enumerate(blocks):
        if count == 0:
            head["Positive Examples"] = [
                {"input": "An example.", "output": "An answer.", "explanation": "It shows the form."}
            ]
            out.write((json.dumps(head, ensure_ascii=False, indent=4)[:-2] + ',\n    "Instances": [').encode())
        out.write((("," if count else "") + ",".join(map(_instance, block))).encode())
    licence = "" if early or drifted else ',\n    "Instance License": [\n        "CC BY 4.0"\n    ]'
    out.write(f"\n    ]{licence}\n}}\n".encode())


def _instance(record: Record) -> str:
    row = record.row
    if record.plant is not None or not isinstance(row["output"], list):
        return "\n        " + _json(record)
    name = f'"id": {quote(row["id"])},\n            ' if "id" in row else ""
    references = ",\n                ".join(map(quote, row["output"]))
    return (
        f'\n        {{\n            {name}"input": {quote(row["input"])},\n'
        f'            "output": [\n                {references}\n            ]\n        }}'
    )


def write_tsv(out: BinaryIO, _: File, blocks: Blocks) -> None:
    """Tab-separated texts without a header; a broken row lacks its last two columns."""
    for block in blocks:
        lines = []
        for record in block:
            cells = list(record.row.values())
            broken = record.plant is not None and record.plant.kind == "broken"
            lines.append("\t".join(cells[:1] if broken else cells) + "\n")
        out.write("".join(lines).encode())


def write_csv(out: BinaryIO, file: File, blocks: Blocks) -> None:
    """Comma-separated with a header, quoted where needed."""
    if "bom" in file.traits:
        out.write(b"\xef\xbb\xbf")
    end = "\r\n" if "crlf" in file.traits else "\n"
    header = False
    for block in blocks:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(block[0].row), lineterminator=end)
        if not header:
            writer.writeheader()
            header = True
        writer.writerows(record.row for record in block)
        out.write(text.getvalue().encode())


def write_parquet(out: BinaryIO, _: File, blocks: Blocks) -> None:
    """Parquet, all columns strings, one row group a block."""
    writer = None
    for block in blocks:
        table = pa.table({name: pa.array([record.row[name] for record in block], pa.string()) for name in block[0].row})
        writer = writer or pq.ParquetWriter(out, table.schema, compression="none")
        writer.write_table(table)
    if writer:
        writer.close()


WRITERS: dict[str, Callable[[BinaryIO, File, Blocks], None]] = {
    "jsonl": write_jsonl,
    "array": write_array,
    "tasks": write_tasks,
    "tsv": write_tsv,
    "csv": write_csv,
    "parquet": write_parquet,
}


class Gzip(io.RawIOBase):
    """A gzip file of stored blocks.

    It is not smaller than what goes in; but compressors differ in their output from one build of zlib to the
    next, and a corpus is to have the same bytes everywhere.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._check, self._size, self._last = out, 0, 0, b""
        out.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Stores `data`."""
        data = bytes(data)
        self._check = zlib.crc32(data, self._check)
        self._size += len(data)
        self._last += data
        while len(self._last) > 0xFFFF:
            self._block(self._last[:0xFFFF], final=False)
            self._last = self._last[0xFFFF:]
        return len(data)

    def close(self) -> None:
        """Writes the last block and the checksum."""
        if not self.closed:
            self._block(self._last, final=True)
            self._out.write(struct.pack("<II", self._check, self._size & 0xFFFFFFFF))
        super().close()

    def _block(self, data: bytes, *, final: bool) -> None:
        self._out.write(struct.pack("<BHH", final, len(data), len(data) ^ 0xFFFF) + data)


def write(path: Path, file: File, blocks: Iterator[Sequence[Record]]) -> None:
    """Writes one file of the corpus."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as plain:
        out: Any = Gzip(plain) if "gzip" in file.traits else plain
        WRITERS[file.format](out, file, blocks)  # type: ignore[arg-type]
        out.close()
