"""Documents, packs of them and the files of each trainer."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch.errors import DataError
from chaffinch.handover import documents as documents_module
from chaffinch.handover import forms
from chaffinch.handover.documents import Documents
from chaffinch.handover.forms import finish, write_documents, write_packs
from chaffinch.handover.packs import Packs
from chaffinch.packing import choose
from chaffinch.recipe.pack import Pack

LENGTH = 16
Rows = list[tuple[list[int], list[int]]]


@st.composite
def drawn_rows(draw: Any) -> Rows:
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        ids = draw(st.lists(st.integers(1, 2**31 - 1), min_size=2, max_size=LENGTH))
        trained = draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
        trained[-1] = True
        rows.append((ids, [one if learned else -100 for one, learned in zip(ids, trained, strict=True)]))
    return rows


def table(rows: Rows, kind: pa.DataType | None = None, chunks: int = 1) -> pa.Table:
    kind = kind or pa.list_(pa.int32())
    parts = [
        rows[start : start + max(1, -(-len(rows) // chunks))]
        for start in range(0, len(rows), max(1, -(-len(rows) // chunks)))
    ]
    columns = [pa.chunked_array([pa.array([row[at] for row in part], kind) for part in parts], kind) for at in (0, 1)]
    return pa.table(columns, names=["input_ids", "labels"])


def masked(labels: list[int]) -> list[int]:
    return [-100, *labels[1:]]


def split_at(values: list[int], lengths: list[int]) -> list[list[int]]:
    ends = np.cumsum(lengths)
    return [values[end - length : end] for end, length in zip(ends.tolist(), lengths, strict=True)]


KINDS = [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.uint32())]


@settings(max_examples=60)
@given(rows=drawn_rows(), multiple=st.sampled_from([1, 4, 16]), chunks=st.integers(1, 4), seed=st.integers(0, 9))
def test_every_document_is_in_the_packs_once_and_whole(rows: Rows, multiple: int, chunks: int, seed: int) -> None:
    found = Documents(table(rows, chunks=chunks))
    assert found.lengths.tolist() == [len(ids) for ids, _ in rows]
    assert found.trained.tolist() == [sum(label != -100 for label in labels[1:]) for _, labels in rows]
    packs = Packs(found, np.arange(len(rows)), Pack(length=LENGTH, pad_to_multiple_of=multiple), seed)
    seen: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
    for batch in packs.batches(range(packs.count)):
        for start, end, first, last in zip(batch.starts, batch.starts[1:], batch.first, batch.first[1:], strict=False):
            lengths = batch.seq_lengths[first:last].tolist()
            assert sum(lengths) == end - start <= LENGTH
            assert (end - start) % multiple == 0
            parts = [
                split_at(values[start:end].tolist(), lengths)
                for values in (batch.input_ids, batch.labels, batch.position_ids, batch.segment)
            ]
            for at, (ids, labels, positions, segment) in enumerate(zip(*parts, strict=True), 1):
                assert positions == list(range(len(ids)))
                if set(segment) == {0}:
                    assert at == len(lengths)
                    assert set(labels) == {-100}
                    assert len(ids) < multiple
                else:
                    assert set(segment) == {at}
                    seen[tuple(ids), tuple(labels)] += 1
    assert seen == Counter((tuple(ids), tuple(masked(labels))) for ids, labels in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_files_hold_the_documents(kind: pa.DataType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [([number + 1, number + 2, number + 3], [number + 1, number + 2, number + 3]) for number in range(200)]
    monkeypatch.setattr("chaffinch.handover.packs.FILE_TOKENS", 64)
    monkeypatch.setattr("chaffinch.handover.packs.BATCH_TOKENS", 32)
    monkeypatch.setattr(forms, "FILE_TOKENS", 64)
    found = Documents(table(rows, kind, chunks=3))
    packs = Packs(found, np.arange(len(rows)), Pack(length=LENGTH), 1)
    whole = sorted((ids, masked(labels)) for ids, labels in rows)

    files = write_packs("trl", tmp_path / "trl", "train", packs, LENGTH, threads=3)
    assert len(files) == -(-packs.count // 4)
    written = pa.concat_tables(pq.read_table(tmp_path / "trl" / file.file) for file in files)
    assert sum(file.rows for file in files) == len(written) == packs.count
    got = []
    for row in written.to_pylist():
        assert row["position_ids"] == [position for length in row["seq_lengths"] for position in range(length)]
        ids, labels = (split_at(row[name], row["seq_lengths"]) for name in ("input_ids", "labels"))
        got += list(zip(ids, labels, strict=True))
    assert sorted(got) == whole

    files = write_documents(tmp_path / "axolotl", "train", found, np.arange(len(rows)))
    assert len(files) > 2
    rows_back = pa.concat_tables(pq.read_table(tmp_path / "axolotl" / file.file) for file in files).to_pylist()
    assert [(row["input_ids"], row["labels"]) for row in rows_back] == [(ids, masked(labels)) for ids, labels in rows]
    assert all(set(row["attention_mask"]) == {1} for row in rows_back)

    folder = tmp_path / "llama-factory"
    finish("llama-factory", folder, write_packs("llama-factory", folder, "train", packs, LENGTH))
    from datasets import load_from_disk

    for row in load_from_disk(str(folder))["train"]:
        assert {len(values) for values in row.values()} == {LENGTH}
        assert [label for label, mask in zip(row["labels"], row["attention_mask"], strict=True) if not mask] == [-100]


def test_threads_do_not_matter(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [(ids, ids) for ids in (generator.integers(1, 99, n).tolist() for n in generator.integers(2, LENGTH, 300))]
    found = Documents(table(rows))
    packs = Packs(found, np.arange(len(rows)), Pack(length=LENGTH, pad_to_multiple_of=8), 3)
    for trainer in ("trl", "torch", "llama-factory"):
        contents = []
        for threads in (1, 4):
            folder = tmp_path / f"{trainer}{threads}"
            write_packs(trainer, folder, "train", packs, LENGTH, threads=threads)
            contents.append(
                {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
            )
        assert contents[0] == contents[1]


HOSTILE: list[tuple[Any, Any, str]] = [
    ([[1, 2], [3]], [[1, 2], [3, 4]], "row 1 has 1 input_ids and 2 labels"),
    ([[1, 2], [3, 2**31]], [[1, 2], [3, 4]], "row 1: input_ids holds 2147483648"),
    ([[1, 2], [], [3, -1]], [[1, 2], [], [3, 4]], "row 2: input_ids holds -1"),
    ([[1, 2], [3, 4]], [[1, -99], [3, 4]], "row 0: labels holds -99"),
    ([[1, 2], [3, 4]], [[1, 2], [3, 2**40]], "row 1: labels holds"),
    ([[1, 2], None], [[1, 2], [3]], r"row 1 has no input_ids \(null\)"),
    ([[1, None]], [[1, 2]], "input_ids has nulls"),
    ([1, 2], [1, 2], "input_ids is int64"),
    ([["a"]], [[1]], r"input_ids is list<.*string>"),
    ([[0.5]], [[1]], r"input_ids is list<.*double>"),
]


@pytest.mark.parametrize(("ids", "labels", "said"), HOSTILE)
def test_hostile_tokens_are_refused(ids: Any, labels: Any, said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        assert Documents(pa.table({"input_ids": ids, "labels": labels})).trained is None
    assert "\nhint: " in str(refused.value)


def test_columns_have_to_be_there() -> None:
    with pytest.raises(DataError, match="no column labels\nhint: "):
        Documents(pa.table({"input_ids": [[1]]}))


def test_documents_that_no_pack_holds_are_told() -> None:
    rows = [([], []), ([1, 2], [-100, -100]), ([7], [7]), ([1] * 17, [1] * 17), ([5, 6], [-100, 6]), ([], [])]
    found = Documents(table(rows))
    numbers, left = choose(found, LENGTH)
    assert numbers.tolist() == [4]
    assert left.number.tolist() == [0, 1, 2, 3, 5]
    assert left.counts() == {"empty": 2, "no_labels": 2, "longer_than_a_pack": 1}


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    rows = []
    for length in [0, 0, 900, 1, *generator.integers(0, 30, 200).tolist(), 0]:
        ids = generator.integers(0, 99, length).tolist()
        rows.append((ids, [one if generator.random() < 0.3 else -100 for one in ids]))
    whole = Documents(table(rows)).trained.tolist()
    monkeypatch.setattr(documents_module, "_BLOCK", 64)
    sliced = pa.concat_tables([table(rows).slice(0, 50), table(rows).slice(50)])
    assert Documents(sliced).trained.tolist() == whole == [sum(one != -100 for one in labels[1:]) for _, labels in rows]
    with pytest.raises(DataError, match="row 150: "):
        assert Documents(table([*rows[:150], ([1, -7], [1, 1]), *rows[150:]])).trained is None


def test_no_documents(tmp_path: Path) -> None:
    found = Documents(pa.table({"input_ids": [], "labels": []}))
    packs = Packs(found, np.empty(0, np.int64), Pack(length=LENGTH), 0)
    assert packs.summary()["packs"] == 0
    for trainer in ("trl", "torch", "llama-factory"):
        files = write_packs(trainer, tmp_path / trainer, "train", packs, LENGTH)
        assert {file.rows for file in files} == {0}
    assert pq.read_table(tmp_path / "trl").num_rows == 0
    assert [file.rows for file in write_documents(tmp_path / "axolotl", "train", found, np.empty(0, np.int64))] == [0]
