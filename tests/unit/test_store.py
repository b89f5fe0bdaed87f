"""Many small shards as one table."""

from pathlib import Path

import pytest

from chaffinch import store
from chaffinch.readers import read_source
from chaffinch.recipe.source import Source
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
