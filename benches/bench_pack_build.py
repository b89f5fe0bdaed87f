"""From a mixture of a million rows to packed Parquet in one build: memory and rows a second.

    python benches/bench_pack_build.py [--rows 1000000]

The rows are the stand-ins of FLAN-MINI's ten sources: pools of templates, demonstrations and conversations, written
with Vicuna's template, as ids of a byte-level BPE with 32,000 tokens, in packs of 8,192 for TRL. Before anything is
told, the packs are read back: they hold every document once, with the sums of ids and labels that the mixture has.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from common import DATA, byte_level_bpe, header
from tokenizers import processors

from chaffinch.synth import synthesise

LENGTH = 8192
BAR = 2 << 30
SCRIPT = """
import json, sys, chaffinch as cf
result = cf.build("flan-mini", data=sys.argv[1], out=sys.argv[2], set=json.loads(sys.argv[3]))
print(json.dumps(result.summary))
"""


def tokenizer(data: Path, folder: Path) -> None:
    """A tokenizer made of some of the rows' own text."""
    files = sorted(path for path in data.rglob("*") if path.is_file())
    made = byte_level_bpe(path.read_bytes()[: 1 << 16].decode("utf-8", "replace") for path in files)
    made.add_special_tokens(["<s>", "</s>"])
    marks = [("<s>", made.token_to_id("<s>"))]
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=marks)
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))


def sums(files: list[Path], lengths: bool) -> tuple[int, int, int, int]:
    """Documents, tokens, the sum of all ids and the number of labels in some files."""
    documents = tokens = total = learned = 0
    columns = ["input_ids", "labels", *(["seq_lengths"] if lengths else [])]
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=4096 if not lengths else 256, columns=columns):
            ids, labels = batch["input_ids"].flatten(), batch["labels"].flatten()
            documents += len(batch["seq_lengths"].flatten()) if lengths else len(batch)
            tokens += len(ids)
            total += pc.sum(ids.cast(pa.int64())).as_py()
            learned += int(np.count_nonzero(labels.to_numpy() != -100))
    return documents, tokens, total, learned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    folder = DATA / f"packed-{rows}"
    shutil.rmtree(folder, ignore_errors=True)
    synthesise(folder / "data", rows, profile="flan-mini")
    tokenizer(folder / "data", folder / "tokenizer")
    header("text to packs", ["pyarrow", "tokenizers"], rows=rows, capacity=LENGTH)
    settings = {
        "sample": [],
        "tokenize": {"tokenizer": str(folder / "tokenizer"), "max_length": LENGTH},
        "pack": {"length": LENGTH},
        "write.trainer": "trl",
    }
    command = [sys.executable, "-c", SCRIPT, str(folder / "data"), str(folder / "out"), json.dumps(settings)]
    summary = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    mixture, trainer = (sorted((folder / "out" / name).glob("*.parquet")) for name in ("data", "trainer"))
    assert sums(mixture, lengths=False) == sums(trainer, lengths=True)
    seconds, kept, split = summary["seconds"], summary["kept"], summary["pack"]["splits"]["train"]
    print("  " + ", ".join(f"{stage['stage']} {stage['seconds']:.1f} s" for stage in summary["stages"]))
    print(f"  {kept:,} rows, {split['tokens']:,} tokens in {split['packs']:,} packs, fill {split['fill']:.3%}")
    print(f"  {seconds:.1f} s, {kept / seconds:,.0f} rows a second")
    peak = summary["peak_memory_bytes"]
    verdict = "met" if peak <= BAR else "MISSED"
    print(f"  memory from text to packed Parquet: {peak / 2**20:,.0f} MiB   bar 2,048 MiB: {verdict}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
