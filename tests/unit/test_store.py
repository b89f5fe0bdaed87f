"""Many small shards as one table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chaffinch import store
from chaffinch.readers import read_source
from chaffinch.recipe.sample import Sample
from chaffinch.recipe.source import Source
from chaffinch.stages import sample
from tests.conftest import alpaca_rows, write_jsonl


@pytest.mark.parametrize(("few", "most", "chunks"), [(4_096, 30_000, 9), (3, 30_000, 6), (1, 1, 3), (0, 30_000, 5)])
def test_small_shards_beyond_a_few_are_put_together_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, most: int, chunks: int
) -> None:
    for number in range(9):
        write_jsonl(tmp_path / "data" / f"{number}.jsonl", alpaca_rows(300 if number in (2, 7) else 3, seed=number))
    source = Source(name="s", files="*.jsonl")
    shards = read_source(source, tmp_path / "data", tmp_path / "cache")
    whole = store.Rows(shards, [source])
    monkeypatch.setattr(store, "FEW_SHARDS", few)
    monkeypatch.setattr(store, "MOST_MAPPED", most)
    rows = store.Rows(shards, [source])
    assert rows.table.to_pylist() == whole.table.to_pylist()
    assert rows.shard_of(305).file == whole.shard_of(305).file == "2.jsonl"
    assert rows.table["row_hash"].num_chunks == chunks


def test_a_stage_s_columns_lie_beside_the_store_s_own(tmp_path: Path) -> None:
    for number in range(3):
        write_jsonl(tmp_path / "data" / f"{number}.jsonl", alpaca_rows(4, seed=number))
    source = Source(name="s", files="*.jsonl")
    rows = store.Rows(read_source(source, tmp_path / "data", tmp_path / "cache"), [source])
    labels = pa.array(["generation", None, "exact_match"] * 4)
    rows.add(pa.table({"label": labels.dictionary_encode(), "score": pa.array([*range(12)], pa.float64())}))
    assert rows.table["label"].to_pylist() == labels.to_pylist()
    step = Sample(by=["label"], rows={"exact_match": 1, "generation": 2, "none": 3})
    decisions, report = sample.run(rows.table, np.arange(12, dtype=np.uint32), [step], 0)
    assert report["available"].to_pylist() == [4, 4, 4]
    left = decisions.kept(np.arange(12, dtype=np.uint32))
    gathered = rows.gather(left, ["input", "label", "score"])
    assert gathered["score"].to_pylist() == left.tolist()
    assert sorted(gathered["label"].to_pylist(), key=str) == [None] * 3 + ["exact_match"] + ["generation"] * 2
    with pytest.raises(AssertionError, match="columns label cannot"):
        rows.add(pa.table({"label": labels}))
    with pytest.raises(AssertionError, match="for other rows"):
        rows.add(pa.table({"bucket": labels[:11]}))
